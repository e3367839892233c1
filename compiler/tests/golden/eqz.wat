;;! asm 0
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   vucomisd %xmm0, %xmm1
;;   jbe     label2; j label1
;; block1:
;;   movl $0x7, %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;; block2:
;;   movl $0x9, %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;;! asm 1
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   vucomiss %xmm1, %xmm0
;;   setp %dil
;;   setne %r8b
;;   orl %r8d, %edi
;;   movzbl %dil, %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;;! asm 2
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   cmpl %esi, %edi
;;   setl %sil
;;   movzbl %sil, %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
(module
  (memory 1)
  ;; No flag becomes a number on the way.
  (func (param f64 f64) (result i32)
    (block (br_if 0 (i32.eqz (f64.lt (local.get 0) (local.get 1)))) (return (i32.const 7)))
    (i32.const 9))
  (func (param f32 f32) (result i32) (i32.eqz (f32.eq (local.get 0) (local.get 1))))
  (func (param i32 i32) (result i32) (i32.eqz (i32.eqz (i32.lt_s (local.get 0) (local.get 1))))))
