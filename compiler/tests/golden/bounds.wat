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
;;   movl %edi, %edi
;;   movl 8(%rsi, %rdi), %eax
;;   addl 4(%rsi, %rdi), %eax
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
;;   movl %edi, %edi
;;   movl 8(%rsi, %rdi), %eax
;;   addl 4(%rsi, %rdi), %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;;! asm 0 trap
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %r8
;;   movl %edi, %r9d
;;   movq -0x10(%r8), %rsi
;;   shlq $0x10, %rsi
;;   subq $0xc, %rsi
;;   cmpq %rsi, %r9
;;   jnbe #trap=user2
;;   movl 8(%r8, %r9), %eax
;;   addl 4(%r8, %r9), %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;;! asm 0 clamp
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %rdx
;;   movl %edi, %ecx
;;   leaq 8(%rcx), %r8
;;   movq -0x10(%rdx), %r10
;;   shlq $0x10, %r10
;;   subq $0x4, %r10
;;   cmpq %r8, %r10
;;   cmovbq %r10, %r8
;;   movl (%rdx, %r8), %eax
;;   leaq 4(%rcx), %rcx
;;   cmpq %rcx, %r10
;;   cmovbq %r10, %rcx
;;   addl (%rdx, %rcx), %eax
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
;;   movl %edi, %edi
;;   movl 8(%rsi, %rdi), %eax
;;   addl 4(%rsi, %rdi), %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
