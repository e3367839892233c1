// A second entrance to a kernel, for a memory that is declared smaller than what the linker laid
// out: grows it first, as an allocator does.
#include "kernel.h"

extern u8 __heap_base;

u64 run(u32 n);

__attribute__((export_name("run_growing"))) u64 run_growing(u32 n) {
    u32 pages = ((u32)&__heap_base + 0xffff) >> 16;
    u32 present = __builtin_wasm_memory_size(0);
    if (pages > present) __builtin_wasm_memory_grow(0, pages - present);
    return run(n);
}
