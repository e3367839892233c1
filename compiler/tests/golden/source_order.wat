;; Values are used soon after they are loaded, as the module has it: one accumulator and one loaded value are
;; alive at a time, and the second factor of each product is an operand in memory.
(module
  (memory 1)
  (func (param $p i32) (param $q i32)
    (i32.store offset=16 (local.get $p) (i32.add (i32.add (i32.add
      (i32.mul (i32.load (local.get $p)) (i32.load (local.get $q)))
      (i32.mul (i32.load offset=4 (local.get $p)) (i32.load offset=4 (local.get $q))))
      (i32.mul (i32.load offset=8 (local.get $p)) (i32.load offset=8 (local.get $q))))
      (i32.mul (i32.load offset=12 (local.get $p)) (i32.load offset=12 (local.get $q)))))))
;;! asm 0
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq %rsi, %rdx
;;   movq    %r15, %rax
;;   movl %edi, %ecx
;;   movl (%rax, %rcx), %esi
;;   movl %edx, %edx
;;   imull (%rax, %rdx), %esi
;;   movl 4(%rax, %rcx), %edi
;;   imull 4(%rax, %rdx), %edi
;;   leal (%rsi, %rdi), %esi
;;   movl 8(%rax, %rcx), %edi
;;   imull 8(%rax, %rdx), %edi
;;   leal (%rsi, %rdi), %esi
;;   movl 0xc(%rax, %rcx), %edi
;;   imull 0xc(%rax, %rdx), %edi
;;   leal (%rsi, %rdi), %edx
;;   movl %edx, 0x10(%rax, %rcx)
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
