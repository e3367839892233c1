//! The host functions, module `faas`, without pointers.

#[link(wasm_import_module = "faas")]
unsafe extern "C" {
    fn request_method(to: *mut u8, room: usize) -> i32;
    fn request_path(to: *mut u8, room: usize) -> i32;
    fn request_route() -> i32;
    fn request_query(to: *mut u8, room: usize) -> i32;
    fn request_headers(to: *mut u8, room: usize) -> i32;
    fn request_body_read(to: *mut u8, room: usize) -> i32;
    fn response_status(code: u32) -> i32;
    fn response_header(name: *const u8, name_len: usize, value: *const u8, value_len: usize) -> i32;
    fn response_write(from: *const u8, len: usize) -> i32;
}

/// A text of the host's: its function copies what there is room for, and gives the whole length.
fn text(function: unsafe extern "C" fn(*mut u8, usize) -> i32) -> Vec<u8> {
    let mut text = vec![0; 256];
    loop {
        // SAFETY: the host writes `text.len()` bytes at the most.
        let len = unsafe { function(text.as_mut_ptr(), text.len()) } as usize;
        let fits = len <= text.len();
        text.resize(len, 0);
        if fits {
            return text;
        }
    }
}

pub(crate) fn method() -> Vec<u8> {
    text(request_method)
}

pub(crate) fn path() -> Vec<u8> {
    text(request_path)
}

pub(crate) fn route() -> usize {
    // SAFETY: it takes nothing.
    unsafe { request_route() as usize }
}

pub(crate) fn query() -> Vec<u8> {
    text(request_query)
}

/// `name:value` and a line feed each.
pub(crate) fn headers() -> Vec<u8> {
    text(request_headers)
}

pub(crate) fn set_status(code: u16) {
    // SAFETY: it takes a number.
    let result = unsafe { response_status(code.into()) };
    assert!(result >= 0, "{code} is no status of a response: it has to be from 200 to 599");
}

pub(crate) fn add_header(name: &str, value: &[u8]) {
    let (name_ptr, value_ptr) = (name.as_ptr(), value.as_ptr());
    // SAFETY: the ranges are those of the slices.
    let result = unsafe { response_header(name_ptr, name.len(), value_ptr, value.len()) };
    assert!(result >= 0, "the header {name} does not fit the response ({result})");
}

/// Waits for bytes of the body; 0 at its end. Whoever calls it gets no body as an argument.
pub(crate) fn read(to: &mut [u8]) -> usize {
    // SAFETY: the range is that of the slice.
    let result = unsafe { request_body_read(to.as_mut_ptr(), to.len()) };
    usize::try_from(result).expect("the range is in memory")
}

/// Sends the head, if that was not done, and all of these bytes, as the client takes them.
pub(crate) fn write(bytes: &[u8]) {
    // SAFETY: the range is that of the slice.
    let result = unsafe { response_write(bytes.as_ptr(), bytes.len()) };
    assert!(result >= 0, "the range is in memory");
}
