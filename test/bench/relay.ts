/**
 * What the house costs on the way: the same simulated nodes asked directly, through nginx (`least_conn`), and through
 * Quipu with its journal on disk; in turns, so that all three see the same machine. nginx is skipped where it is not
 * installed.
 */
import { type ChildProcess, fork, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { LoadOrder, LoadResult } from './child.ts'
import { median, percentile, type Row } from './row.ts'

/** As installed: compiled, and with the flags of src/cli/main.ts. */
const CHILD = fileURLToPath(new URL('../../dist/test/bench/child.js', import.meta.url))
const FLAGS = ['--max-semi-space-size=8', '--max-old-space-size=1024']

const ROUNDS = 5
const CLIENTS = 32
const STREAMS = 100
const LOAD_MS = 3_000
const STREAMS_MS = 5_000

/** Answers that take no time are the worst case: nothing but the way itself. No node gives them; 20 ms is a fast one. */
const KINDS = [
  { name: 'instant answers', kind: 'load', decodeTps: 1e9 },
  { name: '20 ms answers', kind: 'load', decodeTps: 400 },
  { name: 'streams', kind: 'streams', decodeTps: 20 },
] as const

const QUICK = {
  path: '/api/generate',
  body: '{"model":"tiny","prompt":"hello","stream":false,"options":{"num_predict":8}}',
}
const PACED = {
  path: '/api/generate',
  body: '{"model":"tiny","prompt":"hello","options":{"num_predict":20}}',
}

export async function relayBench(): Promise<Row[]> {
  const dir = await mkdtemp(join(tmpdir(), 'quipu-bench-'))
  const children: ChildProcess[] = []
  const start = async <T>(role: string, argument: object): Promise<{ child: ChildProcess; said: T }> => {
    const child = fork(CHILD, [role, JSON.stringify(argument)], { execArgv: role === 'house' ? FLAGS : [] })
    children.push(child)
    const [said] = await once(child, 'message')
    return { child, said: said as T }
  }
  const run = async (role: 'load' | 'streams', order: LoadOrder): Promise<LoadResult> => {
    const { child, said } = await start<LoadResult>(role, order)
    child.disconnect()
    return said
  }
  try {
    const rows: Row[] = []
    for (const { name, kind, decodeTps } of KINDS) {
      const nodes = await start<string[]>('nodes', { decodeTps })
      const house = await start<string>('house', {
        dir: join(dir, name.replaceAll(' ', '-')),
        urls: nodes.said,
      })
      const nginx = await startNginx(join(dir, `nginx-${name.replaceAll(' ', '-')}`), nodes.said, children)
      const ways: Record<string, string> = {
        direct: nodes.said[0]!,
        ...(nginx && { nginx }),
        quipu: house.said,
      }
      const results: Record<string, LoadResult[]> = {}
      const ask = kind === 'load' ? QUICK : PACED
      const connections = kind === 'load' ? CLIENTS : STREAMS
      const ms = kind === 'load' ? LOAD_MS : STREAMS_MS
      for (const url of Object.values(ways)) await run(kind, { url, connections, ms: 1_000, ...ask })
      for (let round = 0; round < ROUNDS; round += 1) {
        for (const [way, url] of Object.entries(ways)) {
          results[way] = [...(results[way] ?? []), await run(kind, { url, connections, ms, ...ask })]
        }
      }
      rows.push(...(kind === 'load' ? loadRows(name, results) : streamRows(results)))
      house.child.send('')
      const [{ rssBytes }] = (await once(house.child, 'message')) as [{ rssBytes: number }]
      rows.push({
        name: `RSS of the house after the ${name} rounds`,
        value: rssBytes / 1e6,
        unit: 'MB',
        note: 'aim: < 200',
      })
      for (const { child } of [nodes, house]) child.kill()
    }
    return rows
  } finally {
    for (const child of children) if (child.exitCode === null) child.kill()
    await rm(dir, { recursive: true, force: true })
  }
}

function loadRows(kind: string, results: Record<string, LoadResult[]>): Row[] {
  const rate = (way: string): number => median(results[way]!.map(({ perSecond }) => perSecond))
  const rows = Object.entries(results).map(([way, runs]) => ({
    name: `${way}: ${kind}, ${CLIENTS} clients`,
    value: rate(way),
    unit: 'req/s',
    note: `p50 ${median(runs.map(r => percentile(r.times, 0.5))).toFixed(1)} ms, p99 ${median(runs.map(r => percentile(r.times, 0.99))).toFixed(1)} ms, errors ${runs.reduce((n, r) => n + r.errors, 0)}`,
  }))
  if (results['nginx'] === undefined) return rows
  return [
    ...rows,
    { name: `quipu / nginx, ${kind}`, value: rate('quipu') / rate('nginx'), unit: '×', note: 'aim: 0.6' },
  ]
}

function streamRows(results: Record<string, LoadResult[]>): Row[] {
  const at = (way: string, part: number): number =>
    median(results[way]!.map(({ times }) => percentile(times, part)))
  return ['nginx', 'quipu']
    .filter(way => results[way] !== undefined)
    .flatMap(way =>
      [
        { part: 0.5, aim: '1 ms' },
        { part: 0.99, aim: '5 ms' },
      ].map(({ part, aim }) => ({
        name: `${way}: added time to first token, ${STREAMS} paced streams, p${part * 100}`,
        value: at(way, part) - at('direct', part),
        unit: 'ms',
        note: `direct ${at('direct', part).toFixed(1)} ms; aim for quipu: ${aim}`,
      })),
    )
}

async function startNginx(
  dir: string,
  urls: readonly string[],
  children: ChildProcess[],
): Promise<string | undefined> {
  if (spawnSync('nginx', ['-v']).error !== undefined) return undefined
  const port = await freePort()
  const servers = urls.map(url => `server ${new URL(url).host};`).join(' ')
  const config = `
    daemon off; worker_processes 1; pid ${dir}.pid; error_log ${dir}.log;
    events { worker_connections 2048; }
    http {
      access_log off; client_body_temp_path ${dir}.body; proxy_temp_path ${dir}.proxy;
      fastcgi_temp_path ${dir}.f; uwsgi_temp_path ${dir}.u; scgi_temp_path ${dir}.s;
      upstream nodes { least_conn; ${servers} keepalive 256; }
      server { listen 127.0.0.1:${port}; keepalive_requests 1000000;
        location / { proxy_pass http://nodes; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host 127.0.0.1; proxy_buffering off; } }
    }`
  await writeFile(`${dir}.conf`, config)
  const child = spawn('nginx', ['-c', `${dir}.conf`, '-e', `${dir}.log`], { stdio: 'ignore' })
  children.push(child)
  await new Promise(resolve => setTimeout(resolve, 300))
  return child.exitCode === null ? `http://127.0.0.1:${port}` : undefined
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  return port
}
