xorl %eax, %eax
vxorps %xmm0, %xmm0, %xmm0
xorl %ecx, %ecx
jmp .LBB0_1
addq $256, %rcx
incl %eax
cmpq $4096, %rcx
je .LBB0_5
leaq (%rdi,%rcx), %r8
btl %eax, %edx
jae .LBB0_2
vmovdqa64 (%rsi,%rcx), %zmm1
vmovdqa64 64(%rsi,%rcx), %zmm2
vmovdqa64 128(%rsi,%rcx), %zmm3
vmovdqa64 192(%rsi,%rcx), %zmm4
vpxord 64(%rdi,%rcx), %zmm2, %zmm2
vpternlogd $246, (%rdi,%rcx), %zmm1, %zmm2
vpternlogd $246, 128(%rdi,%rcx), %zmm3, %zmm2
vpternlogd $246, 192(%rdi,%rcx), %zmm4, %zmm2
vptestmd %zmm2, %zmm2, %k0
kortestw %k0, %k0
je .LBB0_4
leaq (%rsi,%rcx), %r9
vmovdqa64 (%r9), %zmm1
vmovdqa64 64(%r9), %zmm2
vmovdqa64 128(%r9), %zmm3
vmovdqa64 192(%r9), %zmm4
vmovdqa64 %zmm4, 192(%r8)
vmovdqa64 %zmm3, 128(%r8)
vmovdqa64 %zmm2, 64(%r8)
vmovdqa64 %zmm1, (%r8)
jmp .LBB0_4
vmovdqa64 64(%rdi,%rcx), %zmm1
vmovdqa64 192(%rdi,%rcx), %zmm2
vpord (%rdi,%rcx), %zmm1, %zmm1
vpternlogd $254, 128(%rdi,%rcx), %zmm2, %zmm1
vptestmd %zmm1, %zmm1, %k0
kortestw %k0, %k0
je .LBB0_4
vmovaps %zmm0, 192(%r8)
vmovaps %zmm0, 128(%r8)
vmovaps %zmm0, 64(%r8)
vmovaps %zmm0, (%r8)
jmp .LBB0_4
vzeroupper
retq
