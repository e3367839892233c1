;; Parameters that pass one another on in a circle are the one value that comes from outside, although that is a
;; parameter that changes: $i, which neither of the inner loops does.
(module
  (memory 1)
  (func (param $p i32) (param $n i32)
    (local $i i32) (local $k i32)
    (loop $outer
      local.get $i
      (loop $middle (param i32) (result i32)
        (loop $inner (param i32) (result i32)
          local.tee $k
          (i32.store (local.get $p) (local.get $k))
          (br_if $inner (i32.load (local.get $p))))
        (br_if $middle (i32.load offset=4 (local.get $p))))
      drop
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $outer (i32.lt_u (local.get $i) (local.get $n))))))
;;! optimised 0
;; function u0:0(i32, i32) tail {
;;     region0 = 0 "Memory"
;;
;;                                 block0(v0: i32, v1: i32):
;;                                     v30 = get_pinned_reg.i64
;;                                     v2 = iconst.i32 0
;; @0033                               v9 = uextend.i64 v0
;; @0033                               v11 = iadd v30, v9
;; @0049                               v23 = iconst.i32 1
;; @0025                               jump block2(v2)  ; v2 = 0
;;
;;                                 block2(v3: i32):
;; @0029                               jump block4
;;
;;                                 block4:
;; @002b                               jump block6
;;
;;                                 block6:
;; @0033                               store.i32 user2 little region0 v3, v11
;; @003b                               brif.i32 v3, block12, block11
;;
;;                                 block12:
;; @003b                               brif.i32 v3, block6, block11
;;
;;                                 block11:
;;                                     jump block8
;;
;;                                 block8:
;; @003d                               jump block7
;;
;;                                 block7:
;; @0040                               v19 = load.i32 user2 little region0 v11+4
;; @0040                               brif v19, block4, block9
;;
;;                                 block9:
;; @0045                               jump block5
;;
;;                                 block5:
;;                                     v36 = iconst.i32 1
;;                                     v37 = iadd.i32 v3, v36  ; v36 = 1
;; @0052                               v28 = icmp ult v37, v1
;; @0053                               brif v28, block2(v37), block10
;;
;;                                 block10:
;; @0055                               jump block3
;;
;;                                 block3:
;; @0056                               return
;; }
