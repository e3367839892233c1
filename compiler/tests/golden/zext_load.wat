;; A number that is loaded, and used as an index too, is in one register.
(module
  (memory 1)
  (func (param $p i32)
    (local $n i32)
    (local.set $n (i32.load (local.get $p)))
    (i32.store offset=8 (local.get $n) (i32.add (i32.load offset=4 (local.get $n)) (local.get $n)))))
;;! asm 0
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %rsi
;;   movl %edi, %edi
;;   movl (%rsi, %rdi), %edi
;;   movq %rdi, %r8
;;   addl 4(%rsi, %rdi), %r8d
;;   movl %r8d, 8(%rsi, %rdi)
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
