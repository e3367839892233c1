//! The attribute of the crate `faas`. It needs no parser: it reads the function's name, and leaves the
//! rest as it is.

use proc_macro::{TokenStream, TokenTree};

/// Makes a function the handler of this module: it answers every request. There is one handler, a
/// function with a request as its argument and a response as its result.
///
/// ```ignore
/// use faas::{Request, Response};
///
/// #[faas::handler]
/// fn hello(request: Request<Vec<u8>>) -> Response<Vec<u8>> {
///     Response::new(request.into_body())
/// }
/// ```
///
/// With the argument `streaming` its bodies are streams: it gets a request with a reader, and a
/// responder.
///
/// ```ignore
/// #[faas::handler(streaming)]
/// fn echo(request: Request<BodyReader>, responder: Responder) -> std::io::Result<()> {
///     std::io::copy(&mut request.into_body(), &mut responder.send(Response::new(())))?;
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn handler(arguments: TokenStream, function: TokenStream) -> TokenStream {
    let is_streaming = match &*arguments.to_string() {
        "" => false,
        "streaming" => true,
        _ => return error("#[faas::handler] takes no arguments but `streaming`"),
    };
    let Some(name) = name(&function) else {
        return error("#[faas::handler] is for a function that is not async");
    };
    let call = match is_streaming {
        false => format!("unsafe {{ ::faas::guest::handle(ptr, len, {name}) }}"),
        true => format!("let _empty = (ptr, len); ::faas::guest::handle_streaming({name}); 0"),
    };
    let exports = format!(
        r#"const _: () = {{
            #[unsafe(export_name = "faas_alloc")]
            extern "C" fn alloc(len: usize) -> *mut u8 {{
                ::faas::guest::alloc(len)
            }}
            #[unsafe(export_name = "faas_handle")]
            unsafe extern "C" fn handle(ptr: *mut u8, len: usize) -> u64 {{
                {call}
            }}
        }};"#
    );
    let mut all = function;
    all.extend(exports.parse::<TokenStream>().expect("these are items"));
    all
}

/// The name of a function that can be called as it is.
fn name(function: &TokenStream) -> Option<String> {
    let mut tokens = function.clone().into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(word) if word.to_string() == "async" => return None,
            TokenTree::Ident(word) if word.to_string() == "fn" => {
                return match tokens.next() {
                    Some(TokenTree::Ident(name)) => Some(name.to_string()),
                    _ => None,
                };
            }
            _ => {}
        }
    }
    None
}

fn error(message: &str) -> TokenStream {
    format!("compile_error!({message:?});").parse().expect("this is an item")
}
