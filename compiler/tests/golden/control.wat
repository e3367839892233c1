;; Blocks with parameters, loops, tables of branches, unreachable code.
(module
  (func (param i32) (result i32 i32)
    i32.const 1
    i32.const 2
    local.get 0
    if (param i32 i32) (result i32 i32)
      i32.add
      i32.const 3
    end)
  (func (param i32) (result i32)
    loop (result i32)
      local.get 0
      i32.const 1
      i32.sub
      local.tee 0
      br_if 0
      local.get 0
    end)
  (func (param i32) (result i32)
    block (result i32)
      block (result i32)
        i32.const 7
        local.get 0
        br_table 0 1 0 1
        unreachable
        block
          br 0
        end
      end
      i32.const 1
      i32.add
    end))

;;! clif 0
;; function u0:0(i32) -> i32, i32 tail {
;;                                 block0(v0: i32):
;; @0028                               v3 = iconst.i32 1
;; @002a                               v4 = iconst.i32 2
;; @002e                               brif v0, block2, block3
;;
;;                                 block2:
;; @0030                               v7 = iadd.i32 v3, v4  ; v3 = 1, v4 = 2
;; @0031                               v8 = iconst.i32 3
;; @0033                               jump block4(v7, v8)  ; v8 = 3
;;
;;                                 block3:
;; @0033                               jump block4(v3, v4)  ; v3 = 1, v4 = 2
;;
;;                                 block4(v5: i32, v6: i32):
;; @0034                               jump block1(v5, v6)
;;
;;                                 block1(v1: i32, v2: i32):
;; @0034                               return v1, v2
;; }
;;! clif 1
;; function u0:1(i32) -> i32 tail {
;;                                 block0(v0: i32):
;; @0037                               jump block2(v0)
;;
;;                                 block2(v3: i32):
;; @003b                               v4 = iconst.i32 1
;; @003d                               v5 = isub v3, v4  ; v4 = 1
;; @0040                               brif v5, block2(v5), block4
;;
;;                                 block4:
;; @0044                               jump block3(v5)
;;
;;                                 block3(v2: i32):
;; @0045                               jump block1(v2)
;;
;;                                 block1(v1: i32):
;; @0045                               return v1
;; }
;;! clif 2
;; function u0:2(i32) -> i32 tail {
;;                                 block0(v0: i32):
;; @004c                               v4 = iconst.i32 7
;; @0050                               br_table v0, block5, [block4, block5, block4]
;;
;;                                 block4:
;; @0050                               jump block3(v4)  ; v4 = 7
;;
;;                                 block5:
;; @0050                               jump block2(v4)  ; v4 = 7
;;
;;                                 block3(v3: i32):
;; @005d                               v5 = iconst.i32 1
;; @005f                               v6 = iadd v3, v5  ; v5 = 1
;; @0060                               jump block2(v6)
;;
;;                                 block2(v2: i32):
;; @0061                               jump block1(v2)
;;
;;                                 block1(v1: i32):
;; @0061                               return v1
;; }
