;; A loop over two arrays: the index has 64 bits, since it cannot wrap around, each access is one
;; instruction, and the end is one comparison and one jump.
(module
  (memory 1)
  (func (local $i i32)
    (loop $next
      (i32.store offset=8
        (i32.add (local.get $i) (i32.const 4096))
        (i32.load (i32.add (local.get $i) (i32.const 1024))))
      (br_if $next
        (i32.ne (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 400)))))
  (func $unknown (param $limit i32) (local $i i32)
    ;; Nobody knows how far this one counts: the sum stays one of 32 bits.
    (loop $next
      (i32.store (i32.add (local.get $i) (i32.const 4096)) (i32.const 7))
      (br_if $next
        (i32.ne (local.tee $i (i32.add (local.get $i) (i32.const 4))) (local.get $limit))))))
;;! asm 0
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %rsi
;;   uninit  %rcx
;;   xorq %rcx, %rcx
;;   jmp     label1
;; block1:
;;   movl 0x400(%rsi, %rcx), %edi
;;   movl %edi, 0x1008(%rsi, %rcx)
;;   leaq 4(%rcx), %rcx
;;   cmpl $0x190, %ecx
;;   jnz     label2; j label3
;; block2:
;;   jmp     label1
;; block3:
;;   jmp     label4
;; block4:
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
;;! asm 1
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %r8
;;   uninit  %rsi
;;   xorl %esi, %esi
;;   jmp     label1
;; block1:
;;   leal 0x1000(%rsi), %r9d
;;   movl $0x7, (%r8, %r9)
;;   leal 4(%rsi), %esi
;;   cmpl %edi, %esi
;;   jnz     label2; j label3
;; block2:
;;   jmp     label1
;; block3:
;;   jmp     label4
;; block4:
;;   movq %rbp, %rsp
;;   popq %rbp
;;   retq
