;; A 64-bit index is compared once, and then the guard does the rest.
(module
  (memory i64 1)
  (func (param i64) (result i32)
    local.get 0
    i32.load8_u offset=100))

;;! asm 0
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %rsi
;;   cmpq (%rip), %rdi
;;   jnbe #trap=user2
;;   uninit  %r8
;;   xorq %r8, %r8
;;   cmpq (%rip), %rdi
;;   cmovaq %r8, %rdi
;;   movzbq 0x64(%rsi, %rdi), %rax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
