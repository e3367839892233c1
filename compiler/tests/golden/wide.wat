;; Products of 128 bits: written with 32-bit halves, and with the operators of wide arithmetic.
(module
  (func (param $a i64) (param $b i64) (result i64) (local $t i64) (local $u i64)
    (local.set $t (i64.add
      (i64.mul (i64.shr_u (local.get $a) (i64.const 32)) (i64.and (local.get $b) (i64.const 0xffffffff)))
      (i64.shr_u (i64.mul (i64.and (local.get $a) (i64.const 0xffffffff))
        (i64.and (local.get $b) (i64.const 0xffffffff))) (i64.const 32))))
    (local.set $u (i64.add
      (i64.mul (i64.and (local.get $a) (i64.const 0xffffffff)) (i64.shr_u (local.get $b) (i64.const 32)))
      (i64.and (local.get $t) (i64.const 0xffffffff))))
    (i64.add (i64.add
      (i64.mul (i64.shr_u (local.get $a) (i64.const 32)) (i64.shr_u (local.get $b) (i64.const 32)))
      (i64.shr_u (local.get $t) (i64.const 32)))
      (i64.shr_u (local.get $u) (i64.const 32))))
  (func (param i64 i64) (result i64 i64)
    (i64.mul_wide_s (local.get 0) (local.get 1)))
  (func (param i64 i64 i64 i64) (result i64 i64)
    (i64.add128 (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
  (func (param i64 i64 i64 i64) (result i64 i64)
    (i64.sub128 (local.get 0) (local.get 1) (local.get 2) (local.get 3))))

;;! asm 0
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq %rdi, %rdx
;;   mulxq %rsi, %rax, %rax ;; implicit: %rdx
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
;;   imulq %rsi ;; implicit: %rax, %rdx
;;   movq %rdx, %rcx
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
;;   addq %rdx, %rax
;;   movq %rcx, %r8
;;   movq %rsi, %rcx
;;   adcq %r8, %rcx
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq

;;! asm 3
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq %rdi, %rax
;;   subq %rdx, %rax
;;   movq %rcx, %r8
;;   movq %rsi, %rcx
;;   sbbq %r8, %rcx
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
