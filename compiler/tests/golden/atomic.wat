;; An atomic access is aligned, at the address it has; a shared memory is reached by its record.
(module
  (memory 1 2 shared)
  (func (param i32) (result i32)
    local.get 0
    i32.const 1
    i32.atomic.rmw16.add_u offset=4)
  (func (result i32)
    memory.size))

;;! asm 0
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %r9
;;   movl %edi, %r8d
;;   movq -0x1f20(%r9), %r9
;;   leaq 4(%r9, %r8), %r10
;;   testq $0x1, %r10
;;   jnz     label2; j label1
;; block1:
;;   movl $0x1, %r10d
;;   lock xaddw %r10w, 4(%r9, %r8)
;;   movzwl %r10w, %eax
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;; block2:
;;   call    User(userextname0)
;;   ud2
;;! clif 1
;; function u0:1() -> i32 tail {
;;     region0 = 4 "Runtime"
;;
;;                                 block0:
;; @002f                               v1 = get_pinned_reg.i64
;; @002f                               v2 = load.i64 notrap aligned readonly can_move v1-7960
;; @002f                               v3 = atomic_load.i64 notrap aligned region0 v2
;; @002f                               v4 = ireduce.i32 v3
;; @0031                               jump block1(v4)
;;
;;                                 block1(v0: i32):
;; @0031                               return v0
;; }
