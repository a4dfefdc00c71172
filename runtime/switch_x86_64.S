/*
 * Switching between the event loop's stack and a guest's (System V ABI, x86-64).
 *
 * void *tf_switch(void **save, void *to)
 *     Pushes the callee-saved state (rbx, rbp, r12 to r15, MXCSR, x87 control word), stores the stack pointer in *save,
 *     takes `to` as the new one and pops the same from there.
 *
 * tf_switch_arrive
 *     The second half alone: where a fault handler sends a thread whose guest is given up, with rsp = what `save` got.
 *
 * tf_preempt_entry
 *     Where the tick handler sends a thread that was in guest code. rsp points to a frame for iretq (rip, cs, rflags,
 *     rsp, ss) in the slot's save area, all other registers are the guest's. Saves every register there, so the
 *     guest's own stack, which may be nearly full, is not touched; then leaves for the event loop.
 */
        .text
        .globl  tf_switch
        .hidden tf_switch
        .type   tf_switch, @function
        .p2align 4
tf_switch:
        .cfi_startproc
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        stmxcsr (%rsp)
        fnstcw  4(%rsp)
        movq    %rsp, (%rdi)
        /* Both control words are mostly the same on either side, and loading them is slow. */
        movl    (%rsp), %eax
        movzwl  4(%rsp), %ecx
        movq    %rsi, %rsp
        cmpl    (%rsp), %eax
        jne     tf_switch_arrive
        cmpw    4(%rsp), %cx
        je      .Lregisters
        .globl  tf_switch_arrive
        .hidden tf_switch_arrive
tf_switch_arrive:
        ldmxcsr (%rsp)
        fldcw   4(%rsp)
.Lregisters:
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        popq    %r15
        .cfi_adjust_cfa_offset -8
        popq    %r14
        .cfi_adjust_cfa_offset -8
        popq    %r13
        .cfi_adjust_cfa_offset -8
        popq    %r12
        .cfi_adjust_cfa_offset -8
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        ret
        .cfi_endproc
        .size   tf_switch, .-tf_switch

/* The return address of a new guest's first frame: rbx holds the guest. The stack is 16-byte aligned here. */
        .globl  tf_guest_entry
        .hidden tf_guest_entry
        .type   tf_guest_entry, @function
        .p2align 4
tf_guest_entry:
        .cfi_startproc
        .cfi_undefined rip
        movq    %rbx, %rdi
        xorl    %ebp, %ebp
        call    tf_guest_main
        ud2
        .cfi_endproc
        .size   tf_guest_entry, .-tf_guest_entry

        .globl  tf_preempt_entry
        .hidden tf_preempt_entry
        .type   tf_preempt_entry, @function
        .p2align 4
tf_preempt_entry:
        .cfi_startproc
        .cfi_undefined rip
        pushq   %rax
        pushq   %rcx
        pushq   %rdx
        pushq   %rbx
        pushq   %rbp
        pushq   %rsi
        pushq   %rdi
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, %rbx
        subq    tf_xsave_bytes(%rip), %rsp
        andq    $-64, %rsp
        /* XSAVE reads and keeps the header's reserved bytes: they must be zero. */
        xorl    %eax, %eax
        movq    %rax, 512(%rsp)
        movq    %rax, 520(%rsp)
        movq    %rax, 528(%rsp)
        movq    %rax, 536(%rsp)
        movq    %rax, 544(%rsp)
        movq    %rax, 552(%rsp)
        movq    %rax, 560(%rsp)
        movq    %rax, 568(%rsp)
        movl    $-1, %eax
        movl    $-1, %edx
        xsave64 (%rsp)
        /* The direction flag as C expects it; the guest's own comes back with iretq. */
        cld
        call    tf_guest_preempted
        movl    $-1, %eax
        movl    $-1, %edx
        xrstor64 (%rsp)
        movq    %rbx, %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rdi
        popq    %rsi
        popq    %rbp
        popq    %rbx
        popq    %rdx
        popq    %rcx
        popq    %rax
        iretq
        .cfi_endproc
        .size   tf_preempt_entry, .-tf_preempt_entry

        .section .note.GNU-stack,"",@progbits
