;; One access is one instruction; a load whose value is unused still has to fault; a large offset
;; is checked.
(module
  (memory 1)
  (func (param i32 i32) (result i32)
    local.get 0
    local.get 1
    i32.store16 offset=16
    local.get 0
    i32.load8_s offset=100)
  (func (param i32)
    local.get 0
    i64.load offset=8
    drop)
  (func (param i32) (result f64)
    local.get 0
    f64.load offset=4000000000))

;;! asm 0
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq %rsi, %r8
;;   movq    %r15, %rsi
;;   movl %edi, %edi
;;   movw %r8w, 0x10(%rsi, %rdi)
;;   movsbq 0x64(%rsi, %rdi), %rax
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
;;   movq 8(%rsi, %rdi), %rsi
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;;! clif 2
;; function u0:2(i32) -> f64 tail {
;;     region0 = 3 "Tables"
;;     region1 = 0 "Memory"
;;
;;                                 block0(v0: i32):
;; @0044                               v2 = uextend.i64 v0
;; @0044                               v3 = get_pinned_reg.i64
;; @0044                               v4 = load.i64 notrap aligned region0 v3-16
;; @0044                               v5 = iconst.i64 16
;; @0044                               v6 = ishl v4, v5  ; v5 = 16
;; @0044                               v7 = iconst.i64 0xee6b_2808
;; @0044                               v8 = iadd v2, v7  ; v7 = 0xee6b_2808
;; @0044                               v9 = icmp ugt v8, v6
;; @0044                               trapnz v9, user2
;; @0044                               v10 = iconst.i64 0xee6b_2800
;; @0044                               v11 = iadd v2, v10  ; v10 = 0xee6b_2800
;; @0044                               v12 = iconst.i64 0
;; @0044                               v13 = select_spectre_guard v9, v12, v11  ; v12 = 0
;; @0044                               v14 = iadd v3, v13
;; @0044                               v15 = load.f64 user2 little region1 v14
;;                                     v1 -> v15
;; @004b                               jump block1
;;
;;                                 block1:
;; @004b                               return v1
;; }
