/*
 * Host functions of any type: header->host->rows[n] is the n-th stub, which passes its number, the header and all
 * registers that may hold a parameter (System V ABI) to spec_host_call; that leaves the result in their place.
 */
        .text
        .macro stub
        .p2align 4
        movl    $number, %eax
        jmp     common
        .set    number, number + 1
        .endm

        .p2align 4
        .set    number, 0
stubs:
        .rept   64
        stub
        .endr

        .type   common, @function
common:
        .cfi_startproc
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbp, 0
        movq    %rsp, %rbp
        .cfi_def_cfa_register rbp
        subq    $112, %rsp
        movq    %rsi, 0(%rsp)
        movq    %rdx, 8(%rsp)
        movq    %rcx, 16(%rsp)
        movq    %r8, 24(%rsp)
        movq    %r9, 32(%rsp)
        movq    %xmm0, 40(%rsp)
        movq    %xmm1, 48(%rsp)
        movq    %xmm2, 56(%rsp)
        movq    %xmm3, 64(%rsp)
        movq    %xmm4, 72(%rsp)
        movq    %xmm5, 80(%rsp)
        movq    %xmm6, 88(%rsp)
        movq    %xmm7, 96(%rsp)
        movl    %eax, %esi
        movq    %rsp, %rdx
        call    spec_host_call
        movq    0(%rsp), %rax
        movq    40(%rsp), %xmm0
        leave
        .cfi_def_cfa rsp, 8
        ret
        .cfi_endproc
        .size   common, .-common

        .section .data.rel.ro, "aw"
        .globl  spec_stubs
        .type   spec_stubs, @object
        .p2align 3
spec_stubs:
        .set    number, 0
        .rept   64
        .quad   stubs + 16 * number
        .set    number, number + 1
        .endr
        .size   spec_stubs, .-spec_stubs

        .section .note.GNU-stack,"",@progbits
