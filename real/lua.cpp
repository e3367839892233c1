// Runs the Lua script that its argument names. Lua's own shell takes signals and a terminal besides.
#include <stdio.h>
#include <stdlib.h>

// Usually in the C++ library, which the link does without.
void operator delete(void *object) noexcept { free(object); }
void operator delete(void *object, unsigned long) noexcept { free(object); }

// The system's is declared only to say that there is none.
extern "C" FILE *no_tmpfile(void) { return nullptr; }

#include "lua.h"
#include "lauxlib.h"
#include "lualib.h"

int main(int argc, char **argv) {
    lua_State *lua = luaL_newstate();
    if (lua == nullptr || argc < 2) return 2;
    luaL_openlibs(lua);
    if (luaL_dofile(lua, argv[1]) == LUA_OK) return 0;
    fprintf(stderr, "%s\n", lua_tostring(lua, -1));
    return 1;
}
