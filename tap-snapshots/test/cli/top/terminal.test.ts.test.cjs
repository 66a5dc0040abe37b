/* IMPORTANT
 * This snapshot file is auto-generated, but designed for humans.
 * It should be checked into source control and tracked carefully.
 * Re-generate by setting TAP_SNAPSHOT=1 and running tests.
 * Make sure to inspect the output below.  Do not ignore changes!
 */
'use strict'
exports[`test/cli/top/terminal.test.ts > TAP > without a terminal it prints once, and with --json one document > must match snapshot 1`] = `
quipu 0.4.0  HOUSE  5/8 nodes up  4 running  33 waiting  127 a minute  journal writable

  NODE          STANDING   GPU MEM                   GPU          RAM          TEMP  RUN  IN MEMORY
  gpu-a         up         ███████░░░  75% 39/52 GB  █████░  83%  ███░░░  45%  71°C    2  llama3.3:70b… tiny*2
  gpu-hot       throttled  █████████░  98% 47/48 GB  ██████ 100%  █████░  98%  96°C    1  hf.co/unsloth/big-thinker-wit…
  closet        up         none                      none         ░░░░░░    ?  none    0
  plain-ollama  half open  ░░░░░░░░░░    ?           ░░░░░░    ?  ░░░░░░    ?     ?    0
  desk          draining   ░░░░░░░░░░    ?           ░░░░░░    ?  ░░░░░░    ?     ?    1  tiny*1
  shaky         OPEN       ░░░░░░░░░░    ?           ░░░░░░    ?  ░░░░░░    ?     ?    2
  gone          down       ░░░░░░░░░░    ?           ░░░░░░    ?  ░░░░░░    ?     ?    0
  кухня-??      simulated  ░░░░░░░░░░    ?           ░░░░░░    ?  ░░░░░░    ?     ?    0

ON ITS WAY  TO
qwen3:32b   gpu-a    █████████░░░░░░░░░░░  46 %  9.1 GB of 20 GB  2 m 1 s left  running: pulling 3291abe70f16
qwen3:32b   gpu-hot  ░░░░░░░░░░░░░░░░░░░░     ?                                 waiting: for gpu-a

QUEUE                                              WAITING  OLDEST  NEXT IN
llama3.3:70b                                            31  41.0 s   12.4 s
hf.co/unsloth/big-thinker-with-a-long-name:q4_K_M        2  800 ms        ?

`
