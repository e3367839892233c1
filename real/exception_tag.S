# The tag of C++ exceptions: a pointer to the exception. Objects refer to it, and the library of a
# toolchain without exceptions does not define it.
	.globl	__cpp_exception
	.tagtype	__cpp_exception i32
__cpp_exception:
