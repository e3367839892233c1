;; Tables with few ranges: one index is different, some in a row are, three parts, and too many for comparisons.
(module
  (func (param i32) (result i32)
    (block (block (br_table 0 0 0 1 0 (local.get 0))) (return (i32.const 1)))
    (i32.const 2))
  (func (param i32) (result i32)
    (block (block (br_table 0 0 1 1 1 0 (local.get 0))) (return (i32.const 1)))
    (i32.const 2))
  (func (param i32) (result i32)
    (block (block (block (br_table 0 0 0 1 1 1 2 (local.get 0))) (return (i32.const 1)))
      (return (i32.const 2)))
    (i32.const 3))
  (func (param i32) (result i32)
    (block (block (block (br_table 0 1 2 0 1 2 0 (local.get 0))) (return (i32.const 1)))
      (return (i32.const 2)))
    (i32.const 3)))

;;! asm 0
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   cmpl $0x3, %edi
;;   jz      label3; j label1
;; block1:
;;   jmp     label2
;; block2:
;;   movl $0x1, %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;; block3:
;;   jmp     label4
;; block4:
;;   movl $0x2, %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq

;;! asm 1
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   leal -2(%rdi), %esi
;;   cmpl $0x3, %esi
;;   jb      label3; j label1
;; block1:
;;   jmp     label2
;; block2:
;;   movl $0x1, %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;; block3:
;;   jmp     label4
;; block4:
;;   movl $0x2, %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq

;;! asm 2
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   cmpl $0x3, %edi
;;   jb      label6; j label1
;; block1:
;;   cmpl $0x6, %edi
;;   jb      label4; j label2
;; block2:
;;   jmp     label3
;; block3:
;;   movl $0x3, %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;; block4:
;;   jmp     label5
;; block5:
;;   movl $0x2, %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;; block6:
;;   jmp     label7
;; block7:
;;   movl $0x1, %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq

;;! asm 3
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq %rdi, %r11
;;   movl $0x6, %edi
;;   movl %r11d, %r8d
;;   cmpl %edi, %r8d
;;   cmovbl %r8d, %edi
;;   br_table %rdi, %rcx, %rax
;; block1:
;;   jmp     label12
;; block2:
;;   jmp     label12
;; block3:
;;   jmp     label10
;; block4:
;;   jmp     label8
;; block5:
;;   jmp     label12
;; block6:
;;   jmp     label10
;; block7:
;;   jmp     label8
;; block8:
;;   jmp     label9
;; block9:
;;   movl $0x3, %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;; block10:
;;   jmp     label11
;; block11:
;;   movl $0x2, %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;; block12:
;;   jmp     label13
;; block13:
;;   movl $0x1, %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
