;; Masks of the low part of a number are moves; one that is only compared with zero stays, and so does one of other bits.
(module
  (memory 1)
  (func (param i32) (result i32 i32 i32)
    (i32.and (local.get 0) (i32.const 0xff))
    (i32.and (local.get 0) (i32.const 0xffff))
    (i32.and (local.get 0) (i32.const 0x7f)))
  (func (param i64) (result i64 i64)
    (i64.and (local.get 0) (i64.const 0xffffffff))
    (local.get 0))
  (func (param i32) (result i32)
    (i32.load8_u offset=16 (i32.and (local.get 0) (i32.const 0xff))))
  (func (param i32) (result i32)
    (i32.eqz (i32.and (local.get 0) (i32.const 0xff)))))

;;! asm 0
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movzbl %dil, %eax
;;   movzwl %di, %ecx
;;   movq %rdi, %rdx
;;   andl $0x7f, %edx
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq

;;! asm 1
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movl %edi, %eax
;;   movq %rdi, %rcx
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq

;;! asm 2
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %rsi
;;   movzbq %dil, %rdi
;;   movzbq 0x10(%rsi, %rdi), %rax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq

;;! asm 3
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   testl $0xff, %edi
;;   sete %sil
;;   movzbl %sil, %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
