;; References to functions stay inside: nothing but a trap where a callee has another type.
(module
  (type $binary (func (param i32 i32) (result i32)))
  (table 10 20 funcref)
  (func (export "call") (param i32) (result i32)
    (call_indirect (type $binary) (i32.const 1) (i32.const 2) (local.get 0))))
;;! clif 0
;; function u0:0(i32) -> i32 tail {
;;     region0 = 3 "Tables"
;;     sig0 = () preserve_all
;;     sig1 = () preserve_all
;;     sig2 = () preserve_all
;;     sig3 = (i32, i32) -> i32 tail
;;     fn0 = colocated u3:4 sig0
;;     fn1 = colocated u3:5 sig1
;;     fn2 = colocated u3:6 sig2
;;
;;                                 block0(v0: i32):
;; @0030                               v2 = iconst.i32 1
;; @0032                               v3 = iconst.i32 2
;; @0036                               v4 = uextend.i64 v0
;; @0036                               v5 = get_pinned_reg.i64
;; @0036                               v6 = load.i64 notrap aligned region0 v5-24
;; @0036                               v7 = icmp uge v4, v6
;; @0036                               brif v7, block2, block3
;;
;;                                 block2 cold:
;; @0036                               call fn0()
;; @0036                               trap user16
;;
;;                                 block3:
;; @0036                               v8 = iconst.i64 0
;; @0036                               v9 = select_spectre_guard v7, v8, v4  ; v8 = 0
;; @0036                               v10 = iconst.i64 3
;; @0036                               v11 = ishl v9, v10  ; v10 = 3
;; @0036                               v12 = get_pinned_reg.i64
;; @0036                               v13 = iadd v12, v11
;; @0036                               v14 = load.i64 notrap aligned region0 v13-8192
;; @0036                               v15 = iconst.i64 32
;; @0036                               v16 = ushr v14, v15  ; v15 = 32
;; @0036                               v17 = ireduce.i32 v16
;; @0036                               v18 = iconst.i32 1
;; @0036                               v19 = icmp eq v17, v18  ; v18 = 1
;; @0036                               brif v19, block4, block5
;;
;;                                 block5 cold:
;; @0036                               v20 = iconst.i64 0
;; @0036                               v21 = icmp.i64 eq v14, v20  ; v20 = 0
;; @0036                               brif v21, block6, block7
;;
;;                                 block6 cold:
;; @0036                               call fn1()
;; @0036                               trap user16
;;
;;                                 block7 cold:
;; @0036                               call fn2()
;; @0036                               trap user16
;;
;;                                 block4:
;; @0036                               v22 = ireduce.i32 v14
;; @0036                               v23 = uextend.i64 v22
;; @0036                               v24 = get_pinned_reg.i64
;; @0036                               v25 = load.i64 notrap aligned readonly can_move v24-0x2ff0
;; @0036                               v26 = iadd v25, v23
;; @0036                               v27 = call_indirect sig3, v26(v2, v3)  ; v2 = 1, v3 = 2
;; @0039                               jump block1(v27)
;;
;;                                 block1(v1: i32):
;; @0039                               return v1
;; }
