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
;;   cmpl $0x18c, %ecx
;;   jnz     label3; j label2
;; block2:
;;   jmp     label6
;; block3:
;;   movl 0x404(%rsi, %rcx), %r11d
;;   movl %r11d, 0x100c(%rsi, %rcx)
;;   leaq 8(%rcx), %rcx
;;   cmpl $0x190, %ecx
;;   jnz     label4; j label5
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
;;! asm 1
;;   pushq %rbp
;;   unwind PushFrameRegs { offset_upward_to_caller_sp: 16 }
;;   movq %rsp, %rbp
;;   unwind DefineNewFrame { offset_upward_to_caller_sp: 16, offset_downward_to_clobbers: 0 }
;; block0:
;;   movq    %r15, %r9
;;   uninit  %rsi
;;   xorl %esi, %esi
;;   jmp     label1
;; block1:
;;   leal 0x1000(%rsi), %r10d
;;   movl $0x7, (%r9, %r10)
;;   leal 4(%rsi), %r11d
;;   cmpl %edi, %r11d
;;   jnz     label3; j label2
;; block2:
;;   jmp     label6
;; block3:
;;   leal 0x1004(%rsi), %eax
;;   movl $0x7, (%r9, %rax)
;;   leal 8(%rsi), %esi
;;   cmpl %edi, %esi
;;   jnz     label4; j label5
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
