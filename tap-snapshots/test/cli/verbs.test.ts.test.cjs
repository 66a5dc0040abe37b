/* IMPORTANT
 * This snapshot file is auto-generated, but designed for humans.
 * It should be checked into source control and tracked carefully.
 * Re-generate by setting TAP_SNAPSHOT=1 and running tests.
 * Make sure to inspect the output below.  Do not ignore changes!
 */
'use strict'
exports[`test/cli/verbs.test.ts > TAP > at prints a table, and with --json what the house said > must match snapshot 1`] = `
2026-01-31 09:05:07.250, right after fact 1,290 (09:05:05.370)

NODE    STANDING              FOR   BREAKER   RUNNING   SLOTS   IN MEMORY                        VERSION   URL
gpu-a   draining         1 m 30 s   closed          2       4   tiny:latest, big:70b (loading)   0.33.0    http://10.0.0.5:11434
gpu-b   down (refused)      3.0 s   open            0       1   -                                -         http://10.0.0.6:11434 (simulated)

MODEL           SIZE   RUNNING   WAITING   WHERE
tiny:latest   4.7 GB         2         1   gpu-a (in memory, num_ctx=8192), gpu-b

1 request ran, 1 waited.
REQUEST                      STATE                MODEL         CLIENT     CLASS         PRIORITY            CAME   NODE    RAN FOR
01M7YZH119Z62FQKEDVFCP11CT   answering            tiny:latest   10.0.0.7   interactive          5   12.0 s before   gpu-a    11.5 s
01M7YZH119Z62FQKEDVFCP11CU   queued, 1. in line   tiny:latest   10.0.0.8   batch job            2    4.0 s before   -             -

SETTING     VALUE   SET                       BY
queue-max   64      2026-01-31 08:05:07.250   10.0.0.9

POLICY OF     SAYS                                             SET                       BY
tiny:latest   avoid gpu-b, numCtxMax 8192, labels room=attic   2026-01-30 09:05:07.250   cli

`

exports[`test/cli/verbs.test.ts > TAP > diff prints a table, and with --json what the house said > must match snapshot 1`] = `
from  2026-01-31 08:55:07.250, right after fact 1,104 (08:55:06.250)
to    2026-01-31 09:05:07.250, right after fact 1,290 (09:05:05.370)

186 facts in 10 m 0 s.
44 requests came; 41 completed, 2 failed, 1 abandoned.
Running 3, waiting 2 → 14.

WHAT      WHICH               CHANGE                                           WHEN                      WHO        FACT
node      gpu-a               standing: up → draining, hours: none → sat-sun   2026-01-31 09:03:39.250   10.0.0.9   1244 node.emptied, after 1240 node.drained
replica   tiny:latest@gpu-b   new, state present                               2026-01-31 09:04:58.250   -          1250 replica.found
model     big:70b             gone                                             -                         -          -

`

exports[`test/cli/verbs.test.ts > TAP > explain last takes the newest request, and a waiting one is told of as it stands now > must match snapshot 1`] = `
2026-01-31 09:05:07.250: 127.0.0.1 asked for tiny:latest (/api/generate, priority 5).
Has waited 0.3 s: gpu-a: busy.

request  01M7YZH119Z62FQKEDVFCP11CT

Now, while it waits
    NODE    LOADED   IDLE   STARTS IN   WHY NOT
    gpu-a   yes         0      450 ms

Fact by fact
AFTER   SEQ   FACT               DATA
 0 ms    25   request.admitted   path=/api/generate model=tiny:latest client=127.0.0.1 priority=5 bodyBytes=52 expiresAt=1769850907250 attemptsMax=3

`

exports[`test/cli/verbs.test.ts > TAP > explain prints a table, and with --json what the house said > must match snapshot 1`] = `
2026-01-31 09:05:07.250: 127.0.0.1 asked for tiny:latest (/api/generate, priority 5).
First ran on gpu-b because it had tiny:latest in memory and a free slot; there, the connection was refused. Then ran on gpu-a because it had tiny:latest in memory and a free slot; gpu-b was excluded: failed already. Answered 200 after 1.9 s (waited 0.3 s).
When it came, 3 were ahead of it for tiny:latest (2 of 10.0.0.7, 1 of 10.0.0.8), the oldest for 4.2 s; 4 others waited in the whole house.

request  01M7YZH119Z62FQKEDVFCP11CT

Attempt 1: gpu-b, after 1 ms in the queue; retried after 8 ms (refused)
    NODE    LOADED   IDLE   STARTS IN   WHY NOT
    gpu-a   yes         0      450 ms
▶   gpu-b   yes         1        0 ms

Attempt 2: gpu-a, after 302 ms in the queue; completed after 1.6 s (200)
    NODE    LOADED   IDLE   STARTS IN   WHY NOT
▶   gpu-a   yes         1        0 ms
    gpu-b   no          1           ?   failed already
gpu-a went before gpu-c: it had less to do for its weight.
Decided again with what is in the journal, it would be sent to gpu-b: something that is kept in memory only told for the other.

What others would have done
WHEN                      POLICY              IT WOULD HAVE BEEN
when it came              quipu               left waiting
                          least-connections   sent to gpu-a (1 under way there)
at its turn, 1 ms later   quipu, really       sent to gpu-b
                          quipu               sent to gpu-b
Each was asked for this one decision, with the nodes as they stood then, and nobody bound to them who still
waited. Under another policy they would have stood otherwise: what that comes to, quipu backtest tells.

Meanwhile
  AFTER   SEQ   WHAT
-200 ms    22   gpu-b had tiny:latest in memory, after 4.2 s
  10 ms    27   the breaker of gpu-b opened (refused), for 5.0 s
 400 ms    31   gpu-c was to get nothing new (by 10.0.0.9)
and 3 more: quipu journal --after 24

Fact by fact
 AFTER   SEQ   FACT                DATA
  0 ms    25   request.admitted    path=/api/generate model=tiny:latest client=127.0.0.1 priority=5 bodyBytes=52 expiresAt=1769850907250 attemptsMax=3
  1 ms    26   request.assigned    node=gpu-b attempt=1 candidates=2
  9 ms    27   request.retried     node=gpu-b reason=refused
311 ms    28   request.assigned    node=gpu-a attempt=2 candidates=2
858 ms    29   request.begun       node=gpu-a status=200 ttftMs=858
 1.9 s    30   request.completed   (forgotten)

`

exports[`test/cli/verbs.test.ts > TAP > models prints a table, and with --json what the house said > must match snapshot 1`] = `
NAME           ID               SIZE   CAN                RUNNING   WAITING   NODES
embed:latest   2da6a6364bbd   279 MB   embedding                0         3   sim-1
tiny:latest    99d694e78ee7   4.4 GB   completion,tools         2         0   gpu-a* gpu-b

`

exports[`test/cli/verbs.test.ts > TAP > nodes prints a table, and with --json what the house said > must match snapshot 1`] = `
NAME                URL                      STANDING         VERSION   SLOTS   RUNNING   LOADED   MODELS   WEIGHT   HOURS                         BREAKER
gpu-a               http://10.0.0.5:11434    up               0.33.0        4         2      1/3       12        2   always                        closed
gpu-b               http://10.0.0.6:11434    down (refused)   ?             1         0      0/3        0        1   mon-fri@18:00-08:00+sat-sun   OPEN
sim-1 (simulated)   http://127.0.0.1:40001   draining         0.33.0        1         1      0/1        2        1   always                        half open

gpu-b: connect ECONNREFUSED 10.0.0.6:11434

SIMULATED NODES: their answers are made up.

`

exports[`test/cli/verbs.test.ts > TAP > nodes show tells all about one node, and the models on it > must match snapshot 1`] = `
gpu-a
  URL        http://10.0.0.5:11434
  standing   up
  since      2026-01-31 09:05:07.250
  version    0.33.0
  slots      4 a model
  running    2 requests
  in memory  1 of 3
  weight     2
  hours      always
  labels     room=attic
  breaker    closed

MODEL         STATE        SIZE   CONTEXT   RUNNING
tiny:latest   resident   4.4 GB      8192         2

gpu-b
  URL        http://10.0.0.6:11434
  standing   joining (refused)
  since      2026-01-31 09:05:07.250
  version    ?
  slots      1 a model
  running    0 requests
  in memory  0 of 3
  weight     1
  hours      mon-fri@18:00-08:00+sat-sun
  labels     none
  breaker    OPEN (refused)
  last look  connect ECONNREFUSED 10.0.0.6:11434

It has no models.

`

exports[`test/cli/verbs.test.ts > TAP > nodes tell of their hardware where agents told of any > must match snapshot 1`] = `
NAME                   URL                     STANDING               VERSION   SLOTS   RUNNING   LOADED   MODELS   GPU                                  GPU MEM   WEIGHT   HOURS                         BREAKER
gpu-a                  agent://gpu-a           up                     0.33.0        4         2      1/3       12   2 × NVIDIA GeForce RTX 4090   39 GB of 52 GB        2   always                        closed
gpu-hot                agent://gpu-hot         up, throttled (heat)   0.33.0        4         1      1/3       12   AMD Radeon PRO W7900          47 GB of 48 GB        2   always                        closed
closet                 agent://closet          up                     0.33.0        4         0      1/3       12   none                                                2   always                        closed
plain-ollama           http://10.0.0.5:11434   up                     0.33.0        4         0      1/3       12   ?                                          ?        2   always                        half open
desk                   http://10.0.0.5:11434   draining               0.33.0        4         1      1/3       12   ?                                          ?        2   always                        closed
shaky                  http://10.0.0.5:11434   up                     0.33.0        4         2      1/3       12   ?                                          ?        2   always                        OPEN
gone                   http://10.0.0.6:11434   down (refused)         ?             1         0      0/3        0   ?                                          ?        1   mon-fri@18:00-08:00+sat-sun   OPEN
кухня-日本 (simulated)   http://10.0.0.5:11434   up                     0.33.0        4         0      1/3       12   ?                                          ?        2   always                        closed

gone: connect ECONNREFUSED 10.0.0.6:11434

SIMULATED NODES: their answers are made up.

`

exports[`test/cli/verbs.test.ts > TAP > nodes tell of their hardware where agents told of any > must match snapshot 2`] = `
gpu-a
  URL        agent://gpu-a
  standing   up
  since      2026-01-31 09:05:07.250
  version    0.33.0
  slots      4 a model
  running    2 requests
  in memory  1 of 3
  weight     2
  hours      always
  labels     room=attic
  breaker    closed
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

MODEL         STATE        SIZE   CONTEXT   RUNNING
tiny:latest   resident   4.4 GB      8192         2

`

exports[`test/cli/verbs.test.ts > TAP > nodes tell of their hardware where agents told of any > must match snapshot 3`] = `
closet
  URL        agent://closet
  standing   up
  since      2026-01-31 09:05:07.250
  version    0.33.0
  slots      4 a model
  running    0 requests
  in memory  1 of 3
  weight     2
  hours      always
  labels     room=attic
  breaker    closed
  agent      unknown
  read       0 ms ago
  Ollama     unknown
  system     unknown
  uptime     unknown
  CPU        ░░░░░░░░░░░░   ?    ? cores, model unknown
  RAM        ░░░░░░░░░░░░   ?    unknown
  swap       ░░░░░░░░░░░░   ?    unknown
  GPU        unknown
  disk       unknown
  network    in unknown, out unknown
  carries    unknown
  limits     unknown

It has no models.

`

exports[`test/cli/verbs.test.ts > TAP > policy prints a table, and with --json what the house said > must match snapshot 1`] = `
MODEL             POLICY                                                                                              SET                       BY
hf.co/ns/big:q4   nodes=gpu-a,gpu-z label.gpu=4090 label.room=attic numCtxMax=32768 keepAliveMax=1h30m replicas=1-3   2026-01-31 09:05:07.250   10.0.0.9
tiny:latest       prefer=gpu-a numCtx=8192 keepAlive=-1                                                               2026-01-31 09:05:07.250

warning: hf.co/ns/big:q4: nodes: no node is called gpu-z; see /quipu/nodes

`

exports[`test/cli/verbs.test.ts > TAP > policy set adds to what holds, and takes back what stands empty > must match snapshot 1`] = `
hf.co/ns/big:q4  nodes=gpu-a,gpu-z label.gpu=4090 label.room=attic numCtxMax=32768 keepAliveMax=1h30m replicas=1-3
warning: hf.co/ns/big:q4: nodes: no node is called gpu-z; see /quipu/nodes

`

exports[`test/cli/verbs.test.ts > TAP > policy set adds to what holds, and takes back what stands empty > must match snapshot 2`] = `
hf.co/ns/big:q4  nodes=gpu-a,gpu-z label.gpu=4090 label.room=attic numCtxMax=32768 keepAliveMax=1h30m replicas=1-3
warning: hf.co/ns/big:q4: nodes: no node is called gpu-z; see /quipu/nodes

`

exports[`test/cli/verbs.test.ts > TAP > ps prints a table, and with --json what the house said > must match snapshot 1`] = `
NAME           ID               SIZE   PROCESSOR         CONTEXT   NODE    RUNNING   SINCE
embed:latest   2da6a6364bbd                                        sim-1         0   loading for 3 h 20 m
tiny:latest    99d694e78ee7   5.0 GB   40%/60% CPU/GPU      8192   gpu-a         2   3 h 20 m ago

`

exports[`test/cli/verbs.test.ts > TAP > queue prints a table, and with --json what the house said > must match snapshot 1`] = `
#   ID                           MODEL          CLIENT     CLASS         PRIORITY     WAITED             ETA   WHY
1   01M7YZH119Z62FQKEDVFCP11CT   embed:latest   10.0.0.9   interactive          9      1.2 s   4.2 s ±900 ms   sim-1: loading it
2   01M7YZH119Z62FQKEDVFCP11CV   embed:latest   10.0.0.9   interactive          5   1 m 23 s   4.2 s ±900 ms   behind 1 other for embed:latest

`

exports[`test/cli/verbs.test.ts > TAP > requests prints a table, and with --json what the house said > must match snapshot 1`] = `
ID                           CAME                  STATE       MODEL          NODE    TRIES     WAITED    FIRST      TOTAL   TOKENS   END
01M7YZH119Z62FQKEDVFCP11CW   2026-01-31 09:05:07   queued      embed:latest               0      40 ms               40 ms
01M7YZH119Z62FQKEDVFCP11CT   2026-01-31 09:05:07   completed   tiny:latest    gpu-a       2     311 ms   858 ms      1.9 s    1,032   200
01M7YZH119Z62FQKEDVFCP11CX   2026-01-31 09:05:07   failed      tiny:latest    gpu-b       3   1 m 20 s            1 m 30 s            refused

`

exports[`test/cli/verbs.test.ts > TAP > where there is nothing, that is said > must match snapshot 1`] = `
No node is registered. Add one with: quipu nodes add http://HOST:11434
No node has a model. Pull one: quipu models pull NAME
No model has a policy. Set one with: quipu policy set MODEL KEY=VALUE
No model is in memory. The first request for one loads it.
Nobody waits.
No such request. The house remembers the last 2,000; \`quipu explain ID\` finds older ones.

`
