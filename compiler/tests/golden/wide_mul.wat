;; The function for products of 128-bit numbers of runtime libraries: three multiplications.
(module
  (memory 1)
  (func $__multi3 (param i32 i64 i64 i64 i64) (local i64 i64 i64 i64 i64 i64)
    (i64.store (local.get 0) (local.tee 10 (i64.add
      (local.tee 7 (i64.mul
        (local.tee 5 (i64.and (local.get 3) (i64.const 4294967295)))
        (local.tee 6 (i64.and (local.get 1) (i64.const 4294967295)))))
      (i64.shl
        (local.tee 5 (i64.add
          (local.tee 6 (i64.mul
            (local.tee 8 (i64.shr_u (local.get 3) (i64.const 32)))
            (local.get 6)))
          (i64.mul (local.get 5) (local.tee 9 (i64.shr_u (local.get 1) (i64.const 32))))))
        (i64.const 32)))))
    (i64.store offset=8 (local.get 0) (i64.add
      (i64.add
        (i64.add
          (i64.mul (local.get 8) (local.get 9))
          (i64.or
            (i64.shl
              (i64.extend_i32_u (i64.lt_u (local.get 5) (local.get 6)))
              (i64.const 32))
            (i64.shr_u (local.get 5) (i64.const 32))))
        (i64.extend_i32_u (i64.lt_u (local.get 10) (local.get 7))))
      (i64.add
        (i64.mul (local.get 4) (local.get 1))
        (i64.mul (local.get 3) (local.get 2)))))))
;;! optimised 0
;; function u0:0(i32, i64, i64, i64, i64) tail {
;;     region0 = 0 "Memory"
;;
;;                                 block0(v0: i32, v1: i64, v2: i64, v3: i64, v4: i64):
;;                                     v50 = get_pinned_reg.i64
;; @005a                               v45 = uextend.i128 v1
;; @005a                               v46 = uextend.i128 v3
;; @005a                               v47 = imul v45, v46
;; @005a                               v48, v49 = isplit v47
;; @005d                               v21 = uextend.i64 v0
;; @005d                               v23 = iadd v50, v21
;; @005d                               store user2 little region0 v48, v23
;; @0082                               v38 = imul v4, v1
;; @0087                               v39 = imul v3, v2
;; @0088                               v40 = iadd v38, v39
;; @0089                               v41 = iadd v49, v40
;; @008a                               store user2 little region0 v41, v23+8
;; @008d                               return
;; }
