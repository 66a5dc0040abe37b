/* IMPORTANT
 * This snapshot file is auto-generated, but designed for humans.
 * It should be checked into source control and tracked carefully.
 * Re-generate by setting TAP_SNAPSHOT=1 and running tests.
 * Make sure to inspect the output below.  Do not ignore changes!
 */
'use strict'
exports[`test/cli/top/frame.test.ts > TAP > details at 120 by 40 > must match snapshot 1`] = `
quipu 0.4.0  127.0.0.1:11435  5/8 nodes up  4 running  33 waiting  127 a minute  journal writable
gpu-a
URL        agent://gpu-a
standing   up, for 1 m 0 s
breaker    closed
version    0.33.0
running    2 requests, 4 a model at once
labels     room=attic
agent      0.4.0, up 1 h 59 m
read       1.2 s ago
Ollama     0.33.0, http://127.0.0.1:11434
system     Debian GNU/Linux 13, 6.12.1, x64
uptime     10 d 0 h
CPU        █████░░░░░░░  43 %  4 cores, AMD Ryzen 9 7950X
cores      ▁▂▅█
RAM        █████░░░░░░░  45 %  58 GB of 128 GB
swap       none
GPU 0      █░░░░░░░░░░░  <1 %  RTX 4090, driver 580.1
           █████████░░░  74 %  19 GB of 26 GB, 71 °C, 310 of 450 W, THROTTLED
GPU 1      ░░░░░░░░░░░░   ?    RTX 4090
           ░░░░░░░░░░░░   ?    unknown
disk       █████████░░░  75 %  1.5 TB of 2.0 TB, 500 GB free, ssd ext4 at /var/lib/ollama
network    in 112 MB/s, out unknown
carries    3 calls to Ollama
limits     requests at once 4, keep alive -1

IN MEMORY       SIZE  ON GPU  RUN         
llama3.3:70b       ?       ?    0  loading
tiny:latest   5.0 GB  5.0 GB    2         










esc back  q quit
`

exports[`test/cli/top/frame.test.ts > TAP > details at 40 by 10 > must match snapshot 1`] = `
quipu 0.4.0  5/8 nodes up  4 running
33 waiting  127 a minute  journal writa…
gpu-a
URL        agent://gpu-a
standing   up, for 1 m 0 s
breaker    closed
version    0.33.0
running    2 requests, 4 a model at once
labels     room=attic
esc back  q quit
`

exports[`test/cli/top/frame.test.ts > TAP > details at 80 by 24 > must match snapshot 1`] = `
quipu 0.4.0  5/8 nodes up  4 running  33 waiting  127 a minute  journal writable
gpu-a
URL        agent://gpu-a
standing   up, for 1 m 0 s
breaker    closed
version    0.33.0
running    2 requests, 4 a model at once
labels     room=attic
agent      0.4.0, up 1 h 59 m
read       1.2 s ago
Ollama     0.33.0, http://127.0.0.1:11434
system     Debian GNU/Linux 13, 6.12.1, x64
uptime     10 d 0 h
CPU        █████░░░░░░░  43 %  4 cores, AMD Ryzen 9 7950X
cores      ▁▂▅█
RAM        █████░░░░░░░  45 %  58 GB of 128 GB
swap       none
GPU 0      █░░░░░░░░░░░  <1 %  RTX 4090, driver 580.1
           █████████░░░  74 %  19 GB of 26 GB, 71 °C, 310 of 450 W, THROTTLED
GPU 1      ░░░░░░░░░░░░   ?    RTX 4090
           ░░░░░░░░░░░░   ?    unknown
disk       █████████░░░  75 %  1.5 TB of 2.0 TB, 500 GB free, ssd ext4 at /var/…
network    in 112 MB/s, out unknown
esc back  q quit
`

exports[`test/cli/top/frame.test.ts > TAP > help at 120 by 40 > must match snapshot 1`] = `
quipu 0.4.0  127.0.0.1:11435  5/8 nodes up  4 running  33 waiting  127 a minute  journal writable
up down  k j  choose a node, or scroll
enter         all about the chosen node, and back
d             drain it: what runs ends in peace, nothing new goes there
r             resume it: it gets work again
tab           the next of nodes, queue, models
?             this, and back
q  Ctrl-C     quit
              
tiny*2        two requests run on it; :latest is left out
?             nobody told; an agent beside that Ollama would




























esc back  q quit
`

exports[`test/cli/top/frame.test.ts > TAP > help at 40 by 10 > must match snapshot 1`] = `
quipu 0.4.0  5/8 nodes up  4 running
33 waiting  127 a minute  journal writa…
up down  k j  choose a node, or scroll
enter         all about the chosen node…
d             drain it: what runs ends …
r             resume it: it gets work a…
tab           the next of nodes, queue,…
?             this, and back
q  Ctrl-C     quit
esc back  q quit
`

exports[`test/cli/top/frame.test.ts > TAP > help at 80 by 24 > must match snapshot 1`] = `
quipu 0.4.0  5/8 nodes up  4 running  33 waiting  127 a minute  journal writable
up down  k j  choose a node, or scroll
enter         all about the chosen node, and back
d             drain it: what runs ends in peace, nothing new goes there
r             resume it: it gets work again
tab           the next of nodes, queue, models
?             this, and back
q  Ctrl-C     quit
              
tiny*2        two requests run on it; :latest is left out
?             nobody told; an agent beside that Ollama would












esc back  q quit
`

exports[`test/cli/top/frame.test.ts > TAP > message at 120 by 40 > must match snapshot 1`] = `
quipu 0.4.0  127.0.0.1:11435  5/8 nodes up  4 running  33 waiting  127 a minute  journal writable
  NODE          STANDING   GPU MEM                   GPU          RAM          TEMP  RUN  IN MEMORY                     
▶ gpu-a         up         ███████░░░  75% 39/52 GB  █████░  83%  ███░░░  45%  71°C    2  llama3.3:70b… tiny*2          
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





















desk gets nothing new; 1 request still runs there
`

exports[`test/cli/top/frame.test.ts > TAP > message at 40 by 10 > must match snapshot 1`] = `
quipu 0.4.0  5/8 nodes up  4 running
33 waiting  127 a minute  journal writa…
  NODE          STANDING   GPU MEM  RUN
▶ gpu-a         up          75%       2
  gpu-hot       throttled   98%       1
  closet        up         none       0
  plain-ollama  half open     ?       0
  desk          draining      ?       1
  shaky         OPEN          ?       2
desk gets nothing new; 1 request still …
`

exports[`test/cli/top/frame.test.ts > TAP > message at 80 by 24 > must match snapshot 1`] = `
quipu 0.4.0  5/8 nodes up  4 running  33 waiting  127 a minute  journal writable
  NODE       STANDING   GPU MEM     GPU         RAM         TEMP  RUN  IN MEMORY
▶ gpu-a      up         ████░  75%  ████░  83%  ██░░░  45%  71°C    2  llama3.3…
  gpu-hot    throttled  ████░  98%  █████ 100%  ████░  98%  96°C    1  hf.co/un…
  closet     up         none        none        ░░░░░    ?  none    0           
  plain-ol…  half open  ░░░░░    ?  ░░░░░    ?  ░░░░░    ?     ?    0           
  desk       draining   ░░░░░    ?  ░░░░░    ?  ░░░░░    ?     ?    1  tiny*1   
  shaky      OPEN       ░░░░░    ?  ░░░░░    ?  ░░░░░    ?     ?    2           
  gone       down       ░░░░░    ?  ░░░░░    ?  ░░░░░    ?     ?    0           
  кухня-??   simulated  ░░░░░    ?  ░░░░░    ?  ░░░░░    ?     ?    0           

ON ITS WAY  TO                                                                  
qwen3:32b   gpu-a    █████████░░░░░░░░░░░  46 %  2 m 1 s left  running: pulling…
qwen3:32b   gpu-hot  ░░░░░░░░░░░░░░░░░░░░     ?                waiting: for gpu…

QUEUE                                              WAITING  OLDEST  NEXT IN
llama3.3:70b                                            31  41.0 s   12.4 s
hf.co/unsloth/big-thinker-with-a-long-name:q4_K_M        2  800 ms        ?





desk gets nothing new; 1 request still runs there
`

exports[`test/cli/top/frame.test.ts > TAP > models at 120 by 40 > must match snapshot 1`] = `
quipu 0.4.0  127.0.0.1:11435  5/8 nodes up  4 running  33 waiting  127 a minute  journal writable
MODEL                                                SIZE  IN MEMORY  RUN  WAIT  NODES              
hf.co/unsloth/big-thinker-with-a-long-name:q4_K_M  4.4 GB        1/1    1     2  gpu-hot*           
llama3.3:70b                                       4.4 GB        1/2    0    31  gpu-a* gpu-hot     
tiny:latest                                        4.4 GB        2/3    3     0  gpu-a* desk* closet


































 nodes  queue [models]  tab next  ? help  q quit
`

exports[`test/cli/top/frame.test.ts > TAP > models at 40 by 10 > must match snapshot 1`] = `
quipu 0.4.0  5/8 nodes up  4 running
33 waiting  127 a minute  journal writa…
MODEL               IN MEMORY  RUN  WAIT
hf.co/unsloth/big…        1/1    1     2
llama3.3:70b              1/2    0    31
tiny:latest               2/3    3     0



 nodes  queue [models]  ? help  q quit
`

exports[`test/cli/top/frame.test.ts > TAP > models at 80 by 24 > must match snapshot 1`] = `
quipu 0.4.0  5/8 nodes up  4 running  33 waiting  127 a minute  journal writable
MODEL                                       SIZE  IN MEMORY  RUN  WAIT  NODES   
hf.co/unsloth/big-thinker-with-a-long-n…  4.4 GB        1/1    1     2  gpu-hot*
llama3.3:70b                              4.4 GB        1/2    0    31  gpu-a* …
tiny:latest                               4.4 GB        2/3    3     0  gpu-a* …


















 nodes  queue [models]  tab next  ? help  q quit
`

exports[`test/cli/top/frame.test.ts > TAP > nodes at 120 by 40 > must match snapshot 1`] = `
quipu 0.4.0  127.0.0.1:11435  5/8 nodes up  4 running  33 waiting  127 a minute  journal writable
  NODE          STANDING   GPU MEM                   GPU          RAM          TEMP  RUN  IN MEMORY                     
  gpu-a         up         ███████░░░  75% 39/52 GB  █████░  83%  ███░░░  45%  71°C    2  llama3.3:70b… tiny*2          
  gpu-hot       throttled  █████████░  98% 47/48 GB  ██████ 100%  █████░  98%  96°C    1  hf.co/unsloth/big-thinker-wit…
  closet        up         none                      none         ░░░░░░    ?  none    0                                
  plain-ollama  half open  ░░░░░░░░░░    ?           ░░░░░░    ?  ░░░░░░    ?     ?    0                                
▶ desk          draining   ░░░░░░░░░░    ?           ░░░░░░    ?  ░░░░░░    ?     ?    1  tiny*1                        
  shaky         OPEN       ░░░░░░░░░░    ?           ░░░░░░    ?  ░░░░░░    ?     ?    2                                
  gone          down       ░░░░░░░░░░    ?           ░░░░░░    ?  ░░░░░░    ?     ?    0                                
  кухня-??      simulated  ░░░░░░░░░░    ?           ░░░░░░    ?  ░░░░░░    ?     ?    0                                

ON ITS WAY  TO                                                                                               
qwen3:32b   gpu-a    █████████░░░░░░░░░░░  46 %  9.1 GB of 20 GB  2 m 1 s left  running: pulling 3291abe70f16
qwen3:32b   gpu-hot  ░░░░░░░░░░░░░░░░░░░░     ?                                 waiting: for gpu-a           

QUEUE                                              WAITING  OLDEST  NEXT IN
llama3.3:70b                                            31  41.0 s   12.4 s
hf.co/unsloth/big-thinker-with-a-long-name:q4_K_M        2  800 ms        ?





















[nodes] queue  models   tab next  d drain  r resume  enter details  ? help  q quit
`

exports[`test/cli/top/frame.test.ts > TAP > nodes at 40 by 10 > must match snapshot 1`] = `
quipu 0.4.0  5/8 nodes up  4 running
33 waiting  127 a minute  journal writa…
  NODE          STANDING   GPU MEM  RUN
  gpu-hot       throttled   98%       1
  closet        up         none       0
  plain-ollama  half open     ?       0
▶ desk          draining      ?       1
  shaky         OPEN          ?       2
  gone          down          ?       0
[nodes] queue  models   ? help  q quit
`

exports[`test/cli/top/frame.test.ts > TAP > nodes at 80 by 24 > must match snapshot 1`] = `
quipu 0.4.0  5/8 nodes up  4 running  33 waiting  127 a minute  journal writable
  NODE       STANDING   GPU MEM     GPU         RAM         TEMP  RUN  IN MEMORY
  gpu-a      up         ████░  75%  ████░  83%  ██░░░  45%  71°C    2  llama3.3…
  gpu-hot    throttled  ████░  98%  █████ 100%  ████░  98%  96°C    1  hf.co/un…
  closet     up         none        none        ░░░░░    ?  none    0           
  plain-ol…  half open  ░░░░░    ?  ░░░░░    ?  ░░░░░    ?     ?    0           
▶ desk       draining   ░░░░░    ?  ░░░░░    ?  ░░░░░    ?     ?    1  tiny*1   
  shaky      OPEN       ░░░░░    ?  ░░░░░    ?  ░░░░░    ?     ?    2           
  gone       down       ░░░░░    ?  ░░░░░    ?  ░░░░░    ?     ?    0           
  кухня-??   simulated  ░░░░░    ?  ░░░░░    ?  ░░░░░    ?     ?    0           

ON ITS WAY  TO                                                                  
qwen3:32b   gpu-a    █████████░░░░░░░░░░░  46 %  2 m 1 s left  running: pulling…
qwen3:32b   gpu-hot  ░░░░░░░░░░░░░░░░░░░░     ?                waiting: for gpu…

QUEUE                                              WAITING  OLDEST  NEXT IN
llama3.3:70b                                            31  41.0 s   12.4 s
hf.co/unsloth/big-thinker-with-a-long-name:q4_K_M        2  800 ms        ?





[nodes] queue  models   d drain  r resume  enter details  ? help  q quit
`

exports[`test/cli/top/frame.test.ts > TAP > queue at 120 by 40 > must match snapshot 1`] = `
quipu 0.4.0  127.0.0.1:11435  5/8 nodes up  4 running  33 waiting  127 a minute  journal writable
#  MODEL                                              CLIENT    CLASS        WAITED     ETA  WHY              
1  llama3.3:70b                                       10.0.0.9  interactive  41.0 s  12.4 s  gpu-a: loading it
1  llama3.3:70b                                       10.0.0.9  interactive  40.0 s  19.0 s  gpu-a: loading it
1  hf.co/unsloth/big-thinker-with-a-long-name:q4_K_M  10.0.0.9  interactive  800 ms       ?  gpu-a: loading it
and 30 others

































 nodes [queue] models   tab next  ? help  q quit
`

exports[`test/cli/top/frame.test.ts > TAP > queue at 40 by 10 > must match snapshot 1`] = `
quipu 0.4.0  5/8 nodes up  4 running
33 waiting  127 a minute  journal writa…
#  MODEL              WAITED  WHY       
1  llama3.3:70b       41.0 s  gpu-a: lo…
1  llama3.3:70b       40.0 s  gpu-a: lo…
1  hf.co/unsloth/bi…  800 ms  gpu-a: lo…
and 30 others


 nodes [queue] models   ? help  q quit
`

exports[`test/cli/top/frame.test.ts > TAP > queue at 80 by 24 > must match snapshot 1`] = `
quipu 0.4.0  5/8 nodes up  4 running  33 waiting  127 a minute  journal writable
#  MODEL                       CLIENT    CLASS        WAITED     ETA  WHY       
1  llama3.3:70b                10.0.0.9  interactive  41.0 s  12.4 s  gpu-a: lo…
1  llama3.3:70b                10.0.0.9  interactive  40.0 s  19.0 s  gpu-a: lo…
1  hf.co/unsloth/big-thinker…  10.0.0.9  interactive  800 ms       ?  gpu-a: lo…
and 30 others

















 nodes [queue] models   tab next  ? help  q quit
`

exports[`test/cli/top/frame.test.ts > TAP > silence at 120 by 40 > must match snapshot 1`] = `
quipu 0.4.0  127.0.0.1:11435  5/8 nodes up  4 running  33 waiting  127 a minute  journal writable
The house does not answer, since 09:06:02: no house answers at http://127.0.0.1:11435
  NODE          STANDING   GPU MEM                   GPU          RAM          TEMP  RUN  IN MEMORY                     
▶ gpu-a         up         ███████░░░  75% 39/52 GB  █████░  83%  ███░░░  45%  71°C    2  llama3.3:70b… tiny*2          
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




















[nodes] queue  models   tab next  d drain  r resume  enter details  ? help  q quit
`

exports[`test/cli/top/frame.test.ts > TAP > silence at 40 by 10 > must match snapshot 1`] = `
quipu 0.4.0  5/8 nodes up  4 running
33 waiting  127 a minute  journal writa…
The house does not answer, since 09:06:…
  NODE          STANDING   GPU MEM  RUN
▶ gpu-a         up          75%       2
  gpu-hot       throttled   98%       1
  closet        up         none       0
  plain-ollama  half open     ?       0
  desk          draining      ?       1
[nodes] queue  models   ? help  q quit
`

exports[`test/cli/top/frame.test.ts > TAP > silence at 80 by 24 > must match snapshot 1`] = `
quipu 0.4.0  5/8 nodes up  4 running  33 waiting  127 a minute  journal writable
The house does not answer, since 09:06:02: no house answers at http://127.0.0.1…
  NODE       STANDING   GPU MEM     GPU         RAM         TEMP  RUN  IN MEMORY
▶ gpu-a      up         ████░  75%  ████░  83%  ██░░░  45%  71°C    2  llama3.3…
  gpu-hot    throttled  ████░  98%  █████ 100%  ████░  98%  96°C    1  hf.co/un…
  closet     up         none        none        ░░░░░    ?  none    0           
  plain-ol…  half open  ░░░░░    ?  ░░░░░    ?  ░░░░░    ?     ?    0           
  desk       draining   ░░░░░    ?  ░░░░░    ?  ░░░░░    ?     ?    1  tiny*1   
  shaky      OPEN       ░░░░░    ?  ░░░░░    ?  ░░░░░    ?     ?    2           
  gone       down       ░░░░░    ?  ░░░░░    ?  ░░░░░    ?     ?    0           
  кухня-??   simulated  ░░░░░    ?  ░░░░░    ?  ░░░░░    ?     ?    0           

ON ITS WAY  TO                                                                  
qwen3:32b   gpu-a    █████████░░░░░░░░░░░  46 %  2 m 1 s left  running: pulling…
qwen3:32b   gpu-hot  ░░░░░░░░░░░░░░░░░░░░     ?                waiting: for gpu…

QUEUE                                              WAITING  OLDEST  NEXT IN
llama3.3:70b                                            31  41.0 s   12.4 s
hf.co/unsloth/big-thinker-with-a-long-name:q4_K_M        2  800 ms        ?




[nodes] queue  models   d drain  r resume  enter details  ? help  q quit
`

exports[`test/cli/top/frame.test.ts > TAP > the sheet for paper has all nodes, and no end > must match snapshot 1`] = `
quipu 0.4.0  127.0.0.1:11435  5/8 nodes up  4 running  33 waiting  127 a minute  journal writable

  NODE          STANDING   GPU MEM     GPU         RAM         TEMP  RUN  IN MEMORY                 
  gpu-a         up         ████░  75%  ████░  83%  ██░░░  45%  71°C    2  llama3.3:70b… tiny*2      
  gpu-hot       throttled  ████░  98%  █████ 100%  ████░  98%  96°C    1  hf.co/unsloth/big-thinker…
  closet        up         none        none        ░░░░░    ?  none    0                            
  plain-ollama  half open  ░░░░░    ?  ░░░░░    ?  ░░░░░    ?     ?    0                            
  desk          draining   ░░░░░    ?  ░░░░░    ?  ░░░░░    ?     ?    1  tiny*1                    
  shaky         OPEN       ░░░░░    ?  ░░░░░    ?  ░░░░░    ?     ?    2                            
  gone          down       ░░░░░    ?  ░░░░░    ?  ░░░░░    ?     ?    0                            
  кухня-??      simulated  ░░░░░    ?  ░░░░░    ?  ░░░░░    ?     ?    0                            

ON ITS WAY  TO                                                                                      
qwen3:32b   gpu-a    █████████░░░░░░░░░░░  46 %  9.1 GB of 20 GB  2 m 1 s left  running: pulling 32…
qwen3:32b   gpu-hot  ░░░░░░░░░░░░░░░░░░░░     ?                                 waiting: for gpu-a  

QUEUE                                              WAITING  OLDEST  NEXT IN
llama3.3:70b                                            31  41.0 s   12.4 s
hf.co/unsloth/big-thinker-with-a-long-name:q4_K_M        2  800 ms        ?
`

exports[`test/cli/top/frame.test.ts > TAP > without agents there are no gauges, and an older house is not told to be idle > must match snapshot 1`] = `
quipu 0.4.0  JOURNAL NOT WRITABLE  disk full  1/1 nodes up  0 running  0 waiting
? a minute
  NODE   STANDING  RUN  IN MEMORY
▶ gpu-a  up          0  tiny*2   

Nobody waits.

















[nodes] queue  models   d drain  r resume  enter details  ? help  q quit
`
