;; Imports are reached through records of the host context, or by hostcall.
(module
  (import "m" "f" (func $f (param funcref)))
  (import "m" "memory" (memory 1))
  (import "m" "table" (table $t 1 funcref))
  (import "m" "g" (global $g (mut i64)))
  (import "m" "r" (global $r (mut funcref)))
  (func (param i32) (result i64)
    (call $f (global.get $r))
    (global.set $r (table.get $t (local.get 0)))
    (i64.add (global.get $g) (i64.load (local.get 0))))
  (func (param i32)
    (call_indirect $t (local.get 0)))
  (func $declared)
  (elem declare func $declared))

;;! clif 1
;; function u0:1(i32) -> i64 tail {
;;     region0 = 2 "ImportedGlobals"
;;     region1 = 0 "Memory"
;;     sig0 = (i32) -> i64 tail
;;     sig1 = (i64) tail
;;     sig2 = (i32, i64) -> i64 tail
;;     sig3 = (i32, i64) tail
;;     fn0 = colocated u2:17 sig0
;;     fn1 = colocated u0:0 sig1
;;     fn2 = colocated u2:8 sig2
;;     fn3 = colocated u2:18 sig3
;;
;;                                 block0(v0: i32):
;; @005c                               v2 = iconst.i32 1
;; @005c                               v3 = call fn0(v2)  ; v2 = 1
;; @005e                               call fn1(v3)
;; @0062                               v4 = uextend.i64 v0
;; @0062                               v5 = iconst.i32 0
;; @0062                               v6 = call fn2(v5, v4)  ; v5 = 0
;; @0064                               v7 = iconst.i32 1
;; @0064                               call fn3(v7, v6)  ; v7 = 1
;; @0066                               v8 = get_pinned_reg.i64
;; @0066                               v9 = load.i64 notrap aligned readonly can_move v8-7920
;; @0066                               v10 = load.i64 notrap region0 v9
;; @006a                               v11 = uextend.i64 v0
;; @006a                               v12 = load.i64 notrap aligned readonly can_move v8-7944
;; @006a                               v13 = iadd v12, v11
;; @006a                               v14 = load.i64 user2 little region1 v13
;; @006d                               v15 = iadd v10, v14
;; @006e                               jump block1(v15)
;;
;;                                 block1(v1: i64):
;; @006e                               return v1
;; }
;;! clif 2
;; function u0:2(i32) tail {
;;     sig0 = (i32) -> i64 tail
;;     sig1 = () preserve_all
;;     sig2 = (i32, i64) -> i64 tail
;;     sig3 = () tail
;;     sig4 = () preserve_all
;;     sig5 = () preserve_all
;;     sig6 = (i32) tail
;;     fn0 = colocated u2:10 sig0
;;     fn1 = colocated u3:4 sig1
;;     fn2 = colocated u2:8 sig2
;;     fn3 = colocated u3:5 sig4
;;     fn4 = colocated u3:6 sig5
;;     fn5 = colocated u4:3 sig6
;;
;;                                 block0(v0: i32):
;; @0073                               v1 = uextend.i64 v0
;; @0073                               v2 = iconst.i32 0
;; @0073                               v3 = call fn0(v2)  ; v2 = 0
;; @0073                               v4 = icmp uge v1, v3
;; @0073                               brif v4, block2, block3
;;
;;                                 block2 cold:
;; @0073                               call fn1()
;; @0073                               trap user16
;;
;;                                 block3:
;; @0073                               v5 = iconst.i32 0
;; @0073                               v6 = call fn2(v5, v1)  ; v5 = 0
;; @0073                               v7 = iconst.i64 32
;; @0073                               v8 = ushr v6, v7  ; v7 = 32
;; @0073                               v9 = ireduce.i32 v8
;; @0073                               v10 = iconst.i32 4
;; @0073                               v11 = icmp eq v9, v10  ; v10 = 4
;; @0073                               brif v11, block5, block6
;;
;;                                 block5:
;; @0073                               v12 = ireduce.i32 v6
;; @0073                               v13 = uextend.i64 v12
;; @0073                               v14 = get_pinned_reg.i64
;; @0073                               v15 = load.i64 notrap aligned readonly can_move v14-8176
;; @0073                               v16 = iadd v15, v13
;; @0073                               call_indirect sig3, v16()
;; @0073                               jump block4
;;
;;                                 block6 cold:
;; @0073                               v17 = iconst.i64 0
;; @0073                               v18 = icmp.i64 eq v6, v17  ; v17 = 0
;; @0073                               brif v18, block7, block8
;;
;;                                 block7 cold:
;; @0073                               call fn3()
;; @0073                               trap user16
;;
;;                                 block8 cold:
;; @0073                               v19 = iconst.i32 -2147483648
;; @0073                               v20 = icmp.i32 ne v9, v19  ; v19 = -2147483648
;; @0073                               brif v20, block9, block10
;;
;;                                 block9 cold:
;; @0073                               call fn4()
;; @0073                               trap user16
;;
;;                                 block10 cold:
;; @0073                               v21 = ireduce.i32 v6
;; @0073                               call fn5(v21)
;; @0073                               jump block4
;;
;;                                 block4:
;; @0076                               jump block1
;;
;;                                 block1:
;; @0076                               return
;; }
