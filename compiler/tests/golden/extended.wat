;; A pointer of 32 bits that a loop counts on needs no move to become an index of 64.
(module
  (memory 1)
  (func (param $from i32) (param $rounds i32) (result i32)
    (local $sum i32)
    (loop $again
      (local.set $sum (i32.add (local.get $sum) (i32.load (local.get $from))))
      (local.set $from (i32.add (local.get $from) (i32.const 4)))
      (br_if $again (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
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
;;   movl %edi, %edi
;;   jmp     label1
;; block1:
;;   movl (%rcx, %rdi), %edx
;;   leal (%rax, %rdx), %eax
;;   movq %rsi, %rdx
;;   subl $0x1, %edx
;;   testl %edx, %edx
;;   jnz     label3; j label2
;; block2:
;;   jmp     label6
;; block3:
;;   leal 4(%rdi), %edx
;;   movl (%rcx, %rdx), %edx
;;   leal (%rax, %rdx), %eax
;;   subl $0x2, %esi
;;   leal 8(%rdi), %edi
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
