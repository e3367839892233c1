;; Globals, tables and sizes of this instance are at constant distances below BASE.
(module
  (memory 1 2)
  (table $fixed 4 4 externref)
  (global $g (mut f32) (f32.const 1.5))
  (data $d "x")
  (func $f (param externref) (result i32)
    (global.set $g (f32.add (global.get $g) (f32.const 1)))
    (table.set $fixed (i32.const 3) (local.get 0))
    (data.drop $d)
    (drop (ref.func $f))
    (i32.add (memory.size) (ref.is_null (table.get $fixed (i32.const 3)))))
  (elem declare func $f))

;;! clif 0
;; function u0:0(i64) -> i32 tail {
;;     region0 = 1 "Globals"
;;     region1 = 3 "Tables"
;;     sig0 = () preserve_all
;;     sig1 = (i64) -> i32 tail
;;     fn0 = colocated u3:3 sig0
;;     fn1 = colocated u0:0 sig1
;;
;;                                 block0(v0: i64):
;; @003b                               v2 = get_pinned_reg.i64
;; @003b                               v3 = load.f32 notrap aligned region0 v2-48
;; @003d                               v4 = f32const 0x1.000000p0
;; @0042                               v5 = fadd v3, v4  ; v4 = 0x1.000000p0
;; @0043                               store notrap aligned region0 v5, v2-48
;; @0045                               v6 = iconst.i32 3
;; @0049                               v7 = uextend.i64 v6  ; v6 = 3
;; @0049                               v8 = iconst.i64 4
;; @0049                               v9 = icmp uge v7, v8  ; v8 = 4
;; @0049                               brif v9, block2, block3
;;
;;                                 block2 cold:
;; @0049                               call fn0()
;; @0049                               trap user16
;;
;;                                 block3:
;; @0049                               v10 = iconst.i64 0
;; @0049                               v11 = select_spectre_guard v9, v10, v7  ; v10 = 0
;; @0049                               v12 = iconst.i64 3
;; @0049                               v13 = ishl v11, v12  ; v12 = 3
;; @0049                               v14 = get_pinned_reg.i64
;; @0049                               v15 = iadd v14, v13
;; @0049                               store.i64 notrap aligned region1 v0, v15-8192
;; @004b                               v16 = iconst.i8 1
;; @004b                               store notrap aligned region1 v16, v14-49  ; v16 = 1
;; @004e                               v17 = func_addr.i64 fn1
;; @004e                               v18 = load.i64 notrap aligned readonly can_move v14-0x2ff0
;; @004e                               v19 = isub v17, v18
;; @004e                               v20 = iconst.i64 0x0001_0000_0000
;; @004e                               v21 = bor v19, v20  ; v20 = 0x0001_0000_0000
;; @0051                               v22 = load.i64 notrap aligned region1 v14-16
;; @0051                               v23 = ireduce.i32 v22
;; @0053                               v24 = iconst.i32 3
;; @0055                               v25 = uextend.i64 v24  ; v24 = 3
;; @0055                               v26 = iconst.i64 4
;; @0055                               v27 = icmp uge v25, v26  ; v26 = 4
;; @0055                               brif v27, block4, block5
;;
;;                                 block4 cold:
;; @0055                               call fn0()
;; @0055                               trap user16
;;
;;                                 block5:
;; @0055                               v28 = iconst.i64 0
;; @0055                               v29 = select_spectre_guard v27, v28, v25  ; v28 = 0
;; @0055                               v30 = iconst.i64 3
;; @0055                               v31 = ishl v29, v30  ; v30 = 3
;; @0055                               v32 = get_pinned_reg.i64
;; @0055                               v33 = iadd v32, v31
;; @0055                               v34 = load.i64 notrap aligned region1 v33-8192
;; @0057                               v35 = iconst.i64 0
;; @0057                               v36 = icmp eq v34, v35  ; v35 = 0
;; @0057                               v37 = uextend.i32 v36
;; @0058                               v38 = iadd.i32 v23, v37
;; @0059                               jump block1(v38)
;;
;;                                 block1(v1: i32):
;; @0059                               return v1
;; }
