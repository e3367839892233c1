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
;;   movq    %r15, %r9
;;   uninit  %rax
;;   xorl %eax, %eax
;;   uninit  %rsi
;;   xorq %rsi, %rsi
;;   jmp     label1
;; block1:
;;   movl (%r9, %rsi), %r10d
;;   leal (%rax, %r10), %eax
;;   leaq 4(%rsi), %rsi
;;   cmpl $0x1f40, %esi
;;   jnz     label2; j label3
;; block2:
;;   jmp     label1
;; block3:
;;   jmp     label4
;; block4:
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;;! asm 1
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %r9
;;   uninit  %rax
;;   xorl %eax, %eax
;;   movl $0x1f40, %esi
;;   jmp     label1
;; block1:
;;   leal 0x10(%rsi), %r10d
;;   movl 0x10(%r9, %r10), %r10d
;;   subl $0x4, %esi
;;   leal (%rax, %r10), %eax
;;   testl %esi, %esi
;;   jnz     label2; j label3
;; block2:
;;   jmp     label1
;; block3:
;;   jmp     label4
;; block4:
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;;! asm 2
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %r8
;;   uninit  %rax
;;   xorl %eax, %eax
;;   movl $0x1f40, %esi
;;   jmp     label1
;; block1:
;;   movl 0x1000(%r8, %rsi), %r9d
;;   leal (%rax, %r9), %eax
;;   leaq -4(%rsi), %rsi
;;   testl %esi, %esi
;;   jnz     label2; j label3
;; block2:
;;   jmp     label1
;; block3:
;;   jmp     label4
;; block4:
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;;! asm 3
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %r8
;;   uninit  %rax
;;   xorl %eax, %eax
;;   movq %rax, %rsi
;;   jmp     label1
;; block1:
;;   leal 0x1000(%rsi), %r9d
;;   movl (%r8, %r9), %r9d
;;   leal (%rax, %r9), %eax
;;   leal 0x800000(%rsi), %esi
;;   cmpl $0x80000000, %esi
;;   jnz     label2; j label3
;; block2:
;;   jmp     label1
;; block3:
;;   jmp     label4
;; block4:
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
