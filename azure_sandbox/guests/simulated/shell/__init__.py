"""The simulated guest's shell: lexer, parser, expansion, interpreter, builtins."""
