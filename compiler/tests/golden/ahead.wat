;; Counters that a processor may run ahead with: 64 bits wide in the address only if that stays
;; between the start of the memory and the end of its guard.
(module
  (memory 160)
  ;; Upwards from 0, so always in reach: the address is a sum with a 64-bit counter.
  (func (result i32) (local $i i32) (local $sum i32)
    (loop $again
      (local.set $sum (i32.add (local.get $sum) (i32.load (local.get $i))))
      (br_if $again (i32.ne (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 8000))))
    (local.get $sum))
  ;; Downwards to 0: behind it is the state, so the index is computed with 32 bits.
  (func (result i32) (local $i i32) (local $sum i32)
    (local.set $i (i32.const 8000))
    (loop $again
      (local.set $sum (i32.add (local.get $sum) (i32.load offset=16 (i32.add (local.get $i) (i32.const 16)))))
      (br_if $again (local.tee $i (i32.sub (local.get $i) (i32.const 4)))))
    (local.get $sum))
  ;; Downwards to an array that is far enough from the start of the memory.
  (func (result i32) (local $i i32) (local $sum i32)
    (local.set $i (i32.const 8000))
    (loop $again
      (local.set $sum (i32.add (local.get $sum) (i32.load (i32.add (local.get $i) (i32.const 4096)))))
      (br_if $again (local.tee $i (i32.sub (local.get $i) (i32.const 4)))))
    (local.get $sum))
  ;; In steps that leave the guard after a thousand of them.
  (func (result i32) (local $i i32) (local $sum i32)
    (loop $again
      (local.set $sum (i32.add (local.get $sum) (i32.load (i32.add (local.get $i) (i32.const 4096)))))
      (br_if $again
        (i32.ne (local.tee $i (i32.add (local.get $i) (i32.const 0x800000))) (i32.const 0x80000000))))
    (local.get $sum)))
;;! asm 0
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %rcx
;;   uninit  %rax
;;   xorl %eax, %eax
;;   uninit  %rsi
;;   xorq %rsi, %rsi
;;   jmp     label1
;; block1:
;;   movl (%rcx, %rsi), %edx
;;   leal (%rax, %rdx), %eax
;;   cmpl $0x1f3c, %esi
;;   jnz     label3; j label2
;; block2:
;;   jmp     label6
;; block3:
;;   movl 4(%rcx, %rsi), %edx
;;   leal (%rax, %rdx), %eax
;;   leaq 8(%rsi), %rsi
;;   cmpl $0x1f40, %esi
;;   jnz     label4; j label5
;; block4:
;;   jmp     label1
;; block5:
;;   jmp     label6
;; block6:
;;   jmp     label7
;; block7:
;;   jmp     label8
;; block8:
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;;! asm 1
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %rcx
;;   uninit  %rax
;;   xorl %eax, %eax
;;   movl $0x1f40, %esi
;;   jmp     label1
;; block1:
;;   leal 0x10(%rsi), %edx
;;   movl 0x10(%rcx, %rdx), %edx
;;   leal (%rax, %rdx), %eax
;;   movq %rsi, %rdx
;;   subl $0x4, %edx
;;   testl %edx, %edx
;;   jnz     label3; j label2
;; block2:
;;   jmp     label6
;; block3:
;;   leal 0xc(%rsi), %edx
;;   movl 0x10(%rcx, %rdx), %edx
;;   leal (%rax, %rdx), %eax
;;   subl $0x8, %esi
;;   testl %esi, %esi
;;   jnz     label4; j label5
;; block4:
;;   jmp     label1
;; block5:
;;   jmp     label6
;; block6:
;;   jmp     label7
;; block7:
;;   jmp     label8
;; block8:
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;;! asm 2
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %rcx
;;   uninit  %rax
;;   xorl %eax, %eax
;;   movl $0x1f40, %esi
;;   jmp     label1
;; block1:
;;   movl 0x1000(%rcx, %rsi), %edx
;;   leal (%rax, %rdx), %eax
;;   leal -4(%rsi), %edx
;;   testl %edx, %edx
;;   jnz     label3; j label2
;; block2:
;;   jmp     label6
;; block3:
;;   movl 0xffc(%rcx, %rsi), %edx
;;   leal (%rax, %rdx), %eax
;;   leaq -8(%rsi), %rsi
;;   testl %esi, %esi
;;   jnz     label4; j label5
;; block4:
;;   jmp     label1
;; block5:
;;   jmp     label6
;; block6:
;;   jmp     label7
;; block7:
;;   jmp     label8
;; block8:
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;;! asm 3
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %rcx
;;   uninit  %rax
;;   xorl %eax, %eax
;;   movq %rax, %rsi
;;   jmp     label1
;; block1:
;;   leal 0x1000(%rsi), %edx
;;   movl (%rcx, %rdx), %edx
;;   leal (%rax, %rdx), %eax
;;   cmpl $0x7f800000, %esi
;;   jnz     label3; j label2
;; block2:
;;   jmp     label6
;; block3:
;;   leal 0x801000(%rsi), %edx
;;   movl (%rcx, %rdx), %edx
;;   leal (%rax, %rdx), %eax
;;   leal 0x1000000(%rsi), %esi
;;   cmpl $0x80000000, %esi
;;   jnz     label4; j label5
;; block4:
;;   jmp     label1
;; block5:
;;   jmp     label6
;; block6:
;;   jmp     label7
;; block7:
;;   jmp     label8
;; block8:
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
