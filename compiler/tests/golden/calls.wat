;; Small functions in the place of calls, returns in the place of jumps to one, and BASE read before the loop
;; without calls, but again behind the call in the other one.
(module
  (memory 1)
  (func $small (param i32) (result i32) (i32.add (i32.load offset=4 (local.get 0)) (i32.const 7)))
  (func $large (param i32) (result i32)
    (loop (br_if 0 (i32.load (local.tee 0 (i32.load (local.get 0))))))
    (local.get 0))
  (func (param i32) (result i32) (i32.mul (call $small (local.get 0)) (i32.const 3)))
  (func (param i32) (result i32)
    (if (result i32) (i32.load (local.get 0))
      (then (call $large (local.get 0)))
      (else (i32.const 3))))
  (func (param i32)
    (loop
      (i32.store (local.get 0) (call $large (local.get 0)))
      (i32.store offset=8 (local.get 0) (i32.load offset=16 (local.get 0)))
      (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 4))))))
  (func (param i32) (local i32)
    (loop
      (local.set 1 (local.get 0))
      (loop
        (i32.store (local.get 1) (local.get 0))
        (br_if 0 (local.tee 1 (i32.load (local.get 1)))))
      (br_if 0 (i32.load offset=4 (local.get 0))))))

;;! asm 2
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %rsi
;;   movl %edi, %edi
;;   movl $0x7, %r8d
;;   addl 4(%rsi, %rdi), %r8d
;;   imull $0x3, %r8d, %eax
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
;;   movl %edi, %eax
;;   movl (%rcx, %rax), %eax
;;   testl %eax, %eax
;;   jnz     label2; j label1
;; block1:
;;   movl $0x3, %eax
;;   jmp     label10
;; block2:
;;   movl %edi, %r9d
;;   jmp     label3
;; block3:
;;   movl (%rcx, %r9), %eax
;;   movl (%rcx, %rax), %edx
;;   testl %edx, %edx
;;   jnz     label5; j label4
;; block4:
;;   jmp     label8
;; block5:
;;   movl (%rcx, %rax), %eax
;;   movl (%rcx, %rax), %edx
;;   movl %eax, %r9d
;;   testl %edx, %edx
;;   jnz     label6; j label7
;; block6:
;;   jmp     label3
;; block7:
;;   jmp     label8
;; block8:
;;   jmp     label9
;; block9:
;;   jmp     label10
;; block10:
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq

;;! asm 4
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %rax
;;   movl %edi, %esi
;;   jmp     label1
;; block1:
;;   movl %esi, %edi
;;   jmp     label2
;; block2:
;;   movl (%rax, %rdi), %r9d
;;   movl (%rax, %r9), %ecx
;;   testl %ecx, %ecx
;;   jnz     label4; j label3
;; block3:
;;   jmp     label7
;; block4:
;;   movl (%rax, %r9), %r9d
;;   movl (%rax, %r9), %ecx
;;   movl %r9d, %edi
;;   testl %ecx, %ecx
;;   jnz     label5; j label6
;; block5:
;;   jmp     label2
;; block6:
;;   jmp     label7
;; block7:
;;   jmp     label8
;; block8:
;;   movl %r9d, (%rax, %rsi)
;;   movl 0x10(%rax, %rsi), %ecx
;;   movl %ecx, 8(%rax, %rsi)
;;   subl $0x4, %esi
;;   testl %esi, %esi
;;   jnz     label9; j label10
;; block9:
;;   jmp     label1
;; block10:
;;   jmp     label11
;; block11:
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq

;;! asm 5
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %r8
;;   movl %edi, %r9d
;;   jmp     label1
;; block1:
;;   movl %edi, %esi
;;   jmp     label2
;; block2:
;;   movl %edi, (%r8, %rsi)
;;   movl (%r8, %rsi), %r11d
;;   testl %r11d, %r11d
;;   jnz     label4; j label3
;; block3:
;;   jmp     label7
;; block4:
;;   movl %edi, (%r8, %r11)
;;   movl %edi, %esi
;;   testl %edi, %edi
;;   jnz     label5; j label6
;; block5:
;;   jmp     label2
;; block6:
;;   jmp     label7
;; block7:
;;   jmp     label8
;; block8:
;;   jmp     label9
;; block9:
;;   movl 4(%r8, %r9), %eax
;;   testl %eax, %eax
;;   jnz     label10; j label11
;; block10:
;;   jmp     label1
;; block11:
;;   jmp     label12
;; block12:
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
