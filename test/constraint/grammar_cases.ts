/** Grammars of the kinds that llama.cpp shows as examples, written for these tests. */

/** Sums with names and parentheses, a line each. */
export const ARITHMETIC = String.raw`
root  ::= (expr "=" ws term "\n")+
expr  ::= term ([-+*/] ws term)*
term  ::= ident | num | "(" ws expr ")" ws
ident ::= [a-z] [a-z0-9_]* ws
num   ::= [0-9]+ ws
ws    ::= [ \t]*
`;

/** Lines with a dash. */
export const LIST = String.raw`
# any number of items
root ::= item+
item ::= "- " [^\r\n\x0b\x0c\x85\u2028\u2029]+ "\n"
`;

/** Moves of chess. */
export const CHESS = String.raw`
root ::= (
    # the first move
    "1. " move " " move "\n"

    ([1-9] [0-9]? ". " move " " move "\n")+
)
move    ::= (pawn | piece | castle) [+#]?
# a piece, where it comes from if that must be told, and where it goes
piece   ::= [NBKQR] [a-h]? [1-8]? "x"? [a-h] [1-8]
pawn    ::= ([a-h] "x")? [a-h] [1-8] ("=" [NBQR])?
castle  ::= "O-O" "-O"?
`;

/** JSON, with recursion that only a stack holds in full. */
export const JSON_VALUE = String.raw`
root   ::= object | array
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9]{1,4})? ws
# a repetition written as recursion
ws     ::= | " " | "\n" [ \t]{0,20}
`;

/** Lists in lists; the items of one are written as recursion at the end of a rule. */
export const LISP = String.raw`
root  ::= "(" items ")"
items ::= item | item " " items
item  ::= [a-z]+ | root
`;
