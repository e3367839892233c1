;; Values are used soon after they are loaded, as the module has it: one accumulator and one loaded value are
;; alive at a time, and the second factor of each product is an operand in memory.
(module
  (memory 1)
  (func (param $p i32) (param $q i32) (result i32)
    (i32.add (i32.add (i32.add
      (i32.mul (i32.load (local.get $p)) (i32.load (local.get $q)))
      (i32.mul (i32.load offset=4 (local.get $p)) (i32.load offset=4 (local.get $q))))
      (i32.mul (i32.load offset=8 (local.get $p)) (i32.load offset=8 (local.get $q))))
      (i32.mul (i32.load offset=12 (local.get $p)) (i32.load offset=12 (local.get $q)))))
  ;; A number that is loaded, and used as an index too, is in one register.
  (func (param $p i32) (result i32)
    (local $n i32)
    (local.set $n (i32.load (local.get $p)))
    (i32.add (i32.load (local.get $n)) (local.get $n))))
;;! asm 0
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %rax
;;   movl %edi, %edi
;;   movl (%rax, %rdi), %r11d
;;   movl %esi, %r10d
;;   movl (%rax, %r10), %ecx
;;   movl 4(%rax, %rdi), %edx
;;   movl 4(%rax, %r10), %r8d
;;   movl 8(%rax, %rdi), %esi
;;   movl 8(%rax, %r10), %r9d
;;   movl 0xc(%rax, %rdi), %edi
;;   movl 0xc(%rax, %r10), %eax
;;   jmp     label1
;; block1:
;;   imull %ecx, %r11d
;;   imull %r8d, %edx
;;   leal (%r11, %rdx), %ecx
;;   imull %r9d, %esi
;;   leal (%rcx, %rsi), %ecx
;;   imull %eax, %edi
;;   leal (%rcx, %rdi), %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;;! asm 1
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %rsi
;;   movl %edi, %edi
;;   movl (%rsi, %rdi), %edi
;;   movl (%rsi, %rdi), %esi
;;   jmp     label1
;; block1:
;;   leal (%rsi, %rdi), %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
