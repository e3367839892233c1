xorl %eax, %eax
vxorps %xmm0, %xmm0, %xmm0
xorl %ecx, %ecx
jmp .LBB0_1
vmovdqa (%rsi,%rcx), %ymm1
vmovaps 32(%rsi,%rcx), %ymm2
vmovaps 64(%rsi,%rcx), %ymm3
vmovaps 96(%rsi,%rcx), %ymm4
vmovaps 128(%rsi,%rcx), %ymm5
vmovaps 160(%rsi,%rcx), %ymm6
vmovaps 192(%rsi,%rcx), %ymm7
vmovaps 224(%rsi,%rcx), %ymm8
vmovaps %ymm8, 224(%r8)
vmovaps %ymm7, 192(%r8)
vmovaps %ymm6, 160(%r8)
vmovaps %ymm5, 128(%r8)
vmovaps %ymm4, 96(%r8)
vmovaps %ymm3, 64(%r8)
vmovaps %ymm2, 32(%r8)
vmovdqa %ymm1, (%r8)
addq $256, %rcx
incl %eax
cmpq $4096, %rcx
je .LBB0_5
leaq (%rdi,%rcx), %r8
btl %eax, %edx
jb .LBB0_6
vmovdqa 32(%rdi,%rcx), %ymm1
vpor (%rdi,%rcx), %ymm1, %ymm1
vpor 64(%rdi,%rcx), %ymm1, %ymm1
vpor 96(%rdi,%rcx), %ymm1, %ymm1
vpor 128(%rdi,%rcx), %ymm1, %ymm1
vpor 160(%rdi,%rcx), %ymm1, %ymm1
vpor 192(%rdi,%rcx), %ymm1, %ymm1
vpor 224(%rdi,%rcx), %ymm1, %ymm1
vptest %ymm1, %ymm1
je .LBB0_4
vmovaps %ymm0, 224(%r8)
vmovaps %ymm0, 192(%r8)
vmovaps %ymm0, 160(%r8)
vmovaps %ymm0, 128(%r8)
vmovaps %ymm0, 96(%r8)
vmovaps %ymm0, 64(%r8)
vmovaps %ymm0, 32(%r8)
vmovaps %ymm0, (%r8)
jmp .LBB0_4
vzeroupper
retq
