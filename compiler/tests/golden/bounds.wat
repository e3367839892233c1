;; One access under every strategy, and a second that the check of the first covers.
(module
  (memory 1)
  (func (param i32) (result i32)
    (i32.add (i32.load offset=8 (local.get 0)) (i32.load offset=4 (local.get 0)))))

;;! asm 0 guard
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %rsi
;;   movl %edi, %r8d
;;   movl 8(%rsi, %r8), %edi
;;   movl 4(%rsi, %r8), %esi
;;   jmp     label1
;; block1:
;;   leal (%rdi, %rsi), %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;;! asm 0 guard-uffd
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %rsi
;;   movl %edi, %r8d
;;   movl 8(%rsi, %r8), %edi
;;   movl 4(%rsi, %r8), %esi
;;   jmp     label1
;; block1:
;;   leal (%rdi, %rsi), %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;;! asm 0 trap
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %r9
;;   movl %edi, %r10d
;;   movq -0x10(%r9), %rdi
;;   shlq $0x10, %rdi
;;   subq $0xc, %rdi
;;   cmpq %rdi, %r10
;;   jnbe #trap=user2
;;   movl 8(%r9, %r10), %r11d
;;   movl 4(%r9, %r10), %eax
;;   jmp     label1
;; block1:
;;   leal (%r11, %rax), %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;;! asm 0 clamp
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %rax
;;   movl %edi, %ecx
;;   leaq 8(%rcx), %r9
;;   movq -0x10(%rax), %r11
;;   shlq $0x10, %r11
;;   subq $0x4, %r11
;;   cmpq %r9, %r11
;;   cmovbq %r11, %r9
;;   movl (%rax, %r9), %edx
;;   leaq 4(%rcx), %rcx
;;   cmpq %rcx, %r11
;;   cmovbq %r11, %rcx
;;   movl (%rax, %rcx), %eax
;;   jmp     label1
;; block1:
;;   leal (%rdx, %rax), %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;;! asm 0 none
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %rsi
;;   movl %edi, %r8d
;;   movl 8(%rsi, %r8), %edi
;;   movl 4(%rsi, %r8), %esi
;;   jmp     label1
;; block1:
;;   leal (%rdi, %rsi), %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
