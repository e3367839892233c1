;; memory.copy and memory.fill: a constant size is a few accesses, with all loads before the stores and the
;; highest store first; other sizes are a call of a stub.
(module
  (memory 1)
  (func (param $to i32) (param $from i32)
    (memory.copy (local.get $to) (local.get $from) (i32.const 27)))
  (func (param $to i32)
    (memory.fill (local.get $to) (i32.const 0) (i32.const 40)))
  (func (param $to i32) (param $from i32) (param $len i32)
    (memory.copy (local.get $to) (local.get $from) (local.get $len))
    (memory.fill (local.get $to) (i32.const 7) (local.get $len))))
;;! asm 0
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq %rdi, %r10
;;   movq    %r15, %rdi
;;   movl %esi, %r9d
;;   movl %r10d, %r8d
;;   vmovdqu (%rdi, %r9), %xmm7
;;   vmovdqu 0xb(%rdi, %r9), %xmm0
;;   vmovdqu %xmm0, 0xb(%rdi, %r8)
;;   vmovdqu %xmm7, (%rdi, %r8)
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
;;   movq $0x0, 0x20(%rsi, %rdi)
;;   uninit  %xmm5
;;   vpxor %xmm5, %xmm5, %xmm7
;;   vmovdqu %xmm7, 0x10(%rsi, %rdi)
;;   vmovdqu %xmm7, (%rsi, %rdi)
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;;! asm 2
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 16 }
;;   subq $0x10, %rsp
;;   movq %r12, (%rsp)
;;   unwind SaveReg { clobber_offset: 0, reg: p12i }
;;   movq %r13, 8(%rsp)
;;   unwind SaveReg { clobber_offset: 8, reg: p13i }
;; block0:
;;   movl %edi, %r12d
;;   movl %esi, %esi
;;   movl %edx, %r13d
;;   movq %r13, %rdx
;;   movq %r12, %rdi
;;   call    User(userextname0)
;;   movl $0x7, %esi
;;   movq %r13, %rdx
;;   movq %r12, %rdi
;;   call    User(userextname1)
;;   movq (%rsp), %r12
;;   movq 8(%rsp), %r13
;;   addq $0x10, %rsp
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;;! clif 0 trap
;; function u0:0(i32, i32) tail {
;;     region0 = 3 "Tables"
;;     region1 = 0 "Memory"
;;
;;                                 block0(v0: i32, v1: i32):
;; @002e                               v2 = iconst.i32 27
;; @0030                               v3 = uextend.i64 v1
;; @0030                               v4 = get_pinned_reg.i64
;; @0030                               v5 = load.i64 notrap aligned region0 v4-16
;; @0030                               v6 = iconst.i64 16
;; @0030                               v7 = ishl v5, v6  ; v6 = 16
;; @0030                               v8 = iconst.i64 27
;; @0030                               v9 = isub v7, v8  ; v8 = 27
;; @0030                               v10 = icmp ugt v3, v9
;; @0030                               trapnz v10, user2
;; @0030                               v11 = iadd v4, v3
;; @0030                               v12 = uextend.i64 v0
;; @0030                               v13 = load.i64 notrap aligned region0 v4-16
;; @0030                               v14 = iconst.i64 16
;; @0030                               v15 = ishl v13, v14  ; v14 = 16
;; @0030                               v16 = iconst.i64 27
;; @0030                               v17 = isub v15, v16  ; v16 = 27
;; @0030                               v18 = icmp ugt v12, v17
;; @0030                               trapnz v18, user2
;; @0030                               v19 = iadd v4, v12
;; @0030                               v20 = load.i8x16 user2 little region1 v11
;; @0030                               v21 = load.i8x16 user2 little region1 v11+11
;; @0030                               store user2 little region1 v21, v19+11
;; @0030                               store user2 little region1 v20, v19
;; @0034                               jump block1
;;
;;                                 block1:
;; @0034                               return
;; }
