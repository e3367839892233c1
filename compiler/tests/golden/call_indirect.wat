;; The hot path: index check, mask, one load, one compare, call.
(module
  (type $binary (func (param i32 i32) (result i32)))
  (table (export "table") 10 20 funcref)
  (func (param i32) (result i32)
    (call_indirect (type $binary) (i32.const 1) (i32.const 2) (local.get 0))))

;;! asm 0
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movl %edi, %eax
;;   movq    %r15, %rcx
;;   movq -0x18(%rcx), %rcx
;;   cmpq %rcx, %rax
;;   jnb     label9; j label1
;; block1:
;;   uninit  %rdx
;;   xorq %rdx, %rdx
;;   cmpq %rcx, %rax
;;   cmovaeq %rdx, %rax
;;   movq    %r15, %rcx
;;   movq -0x2000(%rcx, %rax, 8), %rdi
;;   movq %rdi, %rax
;;   shrq $0x20, %rax
;;   cmpl $0x1, %eax
;;   jz      label7; j label2
;; block7:
;;   movl %edi, %eax
;;   movq    %r15, %rcx
;;   addq -0x2ff0(%rcx), %rax
;;   movl $0x1, %edi
;;   movl $0x2, %esi
;;   call    *%rax
;;   jmp     label8
;; block8:
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;; block2:
;;   testq %rdi, %rdi
;;   jz      label6; j label3
;; block3:
;;   cmpl $0x80000000, %eax
;;   jnz     label5; j label4
;; block4:
;;   movl $0x1, %esi
;;   movl $0x2, %edx
;;   call    User(userextname3)
;;   jmp     label8
;; block5:
;;   call    User(userextname2)
;;   ud2
;; block6:
;;   call    User(userextname1)
;;   ud2
;; block9:
;;   call    User(userextname0)
;;   ud2
;;! clif 0
;; function u0:0(i32) -> i32 tail {
;;     region0 = 3 "Tables"
;;     sig0 = () preserve_all
;;     sig1 = (i32, i32) -> i32 tail
;;     sig2 = () preserve_all
;;     sig3 = () preserve_all
;;     sig4 = (i32, i32, i32) -> i32 tail
;;     fn0 = colocated u3:4 sig0
;;     fn1 = colocated u3:5 sig2
;;     fn2 = colocated u3:6 sig3
;;     fn3 = colocated u4:0 sig4
;;
;;                                 block0(v0: i32):
;; @0031                               v2 = iconst.i32 1
;; @0033                               v3 = iconst.i32 2
;; @0037                               v4 = uextend.i64 v0
;; @0037                               v5 = get_pinned_reg.i64
;; @0037                               v6 = load.i64 notrap aligned region0 v5-24
;; @0037                               v7 = icmp uge v4, v6
;; @0037                               brif v7, block2, block3
;;
;;                                 block2 cold:
;; @0037                               call fn0()
;; @0037                               trap user16
;;
;;                                 block3:
;; @0037                               v8 = iconst.i64 0
;; @0037                               v9 = select_spectre_guard v7, v8, v4  ; v8 = 0
;; @0037                               v10 = iconst.i64 3
;; @0037                               v11 = ishl v9, v10  ; v10 = 3
;; @0037                               v12 = get_pinned_reg.i64
;; @0037                               v13 = iadd v12, v11
;; @0037                               v14 = load.i64 notrap aligned region0 v13-8192
;; @0037                               v15 = iconst.i64 32
;; @0037                               v16 = ushr v14, v15  ; v15 = 32
;; @0037                               v17 = ireduce.i32 v16
;; @0037                               v19 = iconst.i32 1
;; @0037                               v20 = icmp eq v17, v19  ; v19 = 1
;; @0037                               brif v20, block5, block6
;;
;;                                 block5:
;; @0037                               v21 = ireduce.i32 v14
;; @0037                               v22 = uextend.i64 v21
;; @0037                               v23 = get_pinned_reg.i64
;; @0037                               v24 = load.i64 notrap aligned readonly can_move v23-0x2ff0
;; @0037                               v25 = iadd v24, v22
;; @0037                               v26 = call_indirect sig1, v25(v2, v3)  ; v2 = 1, v3 = 2
;; @0037                               jump block4(v26)
;;
;;                                 block6 cold:
;; @0037                               v27 = iconst.i64 0
;; @0037                               v28 = icmp.i64 eq v14, v27  ; v27 = 0
;; @0037                               brif v28, block7, block8
;;
;;                                 block7 cold:
;; @0037                               call fn1()
;; @0037                               trap user16
;;
;;                                 block8 cold:
;; @0037                               v29 = iconst.i32 -2147483648
;; @0037                               v30 = icmp.i32 ne v17, v29  ; v29 = -2147483648
;; @0037                               brif v30, block9, block10
;;
;;                                 block9 cold:
;; @0037                               call fn2()
;; @0037                               trap user16
;;
;;                                 block10 cold:
;; @0037                               v31 = ireduce.i32 v14
;; @0037                               v32 = call fn3(v31, v2, v3)  ; v2 = 1, v3 = 2
;; @0037                               jump block4(v32)
;;
;;                                 block4(v18: i32):
;; @003a                               jump block1(v18)
;;
;;                                 block1(v1: i32):
;; @003a                               return v1
;; }
