// The handler: gets a value, and returns one. It runs once for the warm-up request before the program is captured.

import { serve } from "./faas.js";

let visits = 0;

serve(({ name = "world" }) => {
  visits += 1;
  return { hello: name, letters: [...name].length, visits };
});
