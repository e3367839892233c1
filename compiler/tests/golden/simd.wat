;; Vectors have one type outside of operators; casts between shapes are no machine code.
(module
  (import "m" "g" (global $scale v128))
  (memory 1)
  (func (param $at i32) (param $end i32) (result v128)
    (local $sum v128)
    (loop $next
      (v128.store (local.get $at)
        (f32x4.mul (v128.load (local.get $at)) (global.get $scale)))
      (local.set $sum
        (f32x4.add (local.get $sum) (v128.load offset=16 (local.get $at))))
      (br_if $next
        (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 32))) (local.get $end))))
    (local.get $sum)))

;;! clif 0
;; function u0:0(i32, i32) -> i8x16 tail {
;;     region0 = 0 "Memory"
;;     region1 = 2 "ImportedGlobals"
;;     const0 = 0x00000000000000000000000000000000
;;
;;                                 block0(v0: i32, v1: i32):
;;                                     v27 -> v1
;;                                     v3 = vconst.i8x16 const0
;; @002b                               jump block2(v0, v3)  ; v3 = const0
;;
;;                                 block2(v4: i32, v17: i8x16):
;; @0031                               v5 = uextend.i64 v4
;; @0031                               v6 = get_pinned_reg.i64
;; @0031                               v7 = iadd v6, v5
;; @0031                               v8 = load.i8x16 user2 little region0 v7
;; @0035                               v9 = load.i64 notrap aligned readonly can_move v6-7968
;; @0035                               v10 = load.i8x16 notrap region1 v9
;; @0037                               v11 = bitcast.f32x4 little v10
;; @0037                               v12 = bitcast.f32x4 little v8
;; @0037                               v13 = fmul v12, v11
;; @0037                               v14 = bitcast.i8x16 little v13
;; @003a                               v15 = uextend.i64 v4
;; @003a                               v16 = iadd v6, v15
;; @003a                               store user2 little region0 v14, v16
;; @0042                               v18 = uextend.i64 v4
;; @0042                               v19 = iadd v6, v18
;; @0042                               v20 = load.i8x16 user2 little region0 v19+16
;; @0046                               v21 = bitcast.f32x4 little v20
;; @0046                               v22 = bitcast.f32x4 little v17
;; @0046                               v23 = fadd v22, v21
;; @0046                               v24 = bitcast.i8x16 little v23
;; @004d                               v25 = iconst.i32 32
;; @004f                               v26 = iadd v4, v25  ; v25 = 32
;; @0054                               v28 = icmp ult v26, v27
;; @0054                               v29 = uextend.i32 v28
;; @0055                               brif v29, block2(v26, v24), block4
;;
;;                                 block4:
;; @0057                               jump block3
;;
;;                                 block3:
;; @005a                               jump block1(v24)
;;
;;                                 block1(v2: i8x16):
;; @005a                               return v2
;; }
;;! asm 0
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %rax
;;   uninit  %xmm0
;;   vpxor %xmm0, %xmm0, %xmm0
;;   movl %edi, %edi
;;   movq -0x1f20(%rax), %rcx
;;   jmp     label1
;; block1:
;;   vmovdqu (%rax, %rdi), %xmm2
;;   vmovdqu (%rcx), %xmm1
;;   vmulps %xmm1, %xmm2, %xmm2
;;   vmovdqu %xmm2, (%rax, %rdi)
;;   vmovdqu 0x10(%rax, %rdi), %xmm2
;;   vaddps %xmm2, %xmm0, %xmm0
;;   leal 0x20(%rdi), %edx
;;   cmpl %esi, %edx
;;   jb      label3; j label2
;; block2:
;;   jmp     label6
;; block3:
;;   vmovdqu (%rax, %rdx), %xmm2
;;   vmulps %xmm1, %xmm2, %xmm1
;;   vmovdqu %xmm1, (%rax, %rdx)
;;   vmovdqu 0x10(%rax, %rdx), %xmm1
;;   vaddps %xmm1, %xmm0, %xmm0
;;   leal 0x40(%rdi), %edi
;;   cmpl %esi, %edi
;;   jb      label4; j label5
;; block4:
;;   jmp     label1
;; block5:
;;   jmp     label6
;; block6:
;;   jmp     label7
;; block7:
;;   jmp     label8
;; block8:
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
