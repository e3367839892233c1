;; The bytes of a number in reverse order: as LLVM 22 writes it for 32 bits, and byte by byte; and two bytes alone, which is something else.
(module
  (func (param i32) (result i32)
    (i32.xor
      (i32.shr_u
        (i32.and (i32.xor (local.get 0) (i32.rotl (local.get 0) (i32.const 16))) (i32.const 0xff00ff00))
        (i32.const 8))
      (i32.rotr (local.get 0) (i32.const 8))))
  (func (param i32) (result i32)
    (i32.or
      (i32.add (i32.shl (local.get 0) (i32.const 24)) (i32.shr_u (local.get 0) (i32.const 24)))
      (i32.or
        (i32.and (i32.rotl (local.get 0) (i32.const 8)) (i32.const 0xff0000))
        (i32.shr_u (i32.and (local.get 0) (i32.const 0xff0000)) (i32.const 8)))))
  (func (param i32) (result i32)
    (i32.or (i32.shl (local.get 0) (i32.const 24)) (i32.shr_u (local.get 0) (i32.const 24)))))

;;! asm 0
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq %rdi, %rax
;;   bswapl %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq

;;! asm 1
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq %rdi, %rax
;;   bswapl %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq

;;! asm 2
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq %rdi, %rax
;;   shll $0x18, %eax
;;   shrl $0x18, %edi
;;   orl %edi, %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
