/** Checks 61–66: blobs, copies, and models that come and go. What a check makes it removes. */
import { createHash, randomBytes } from 'node:crypto'
import type { Checks } from '../check.ts'
import {
  exactly,
  goJson,
  head,
  holds,
  JSON_BARE,
  JSON_UTF8,
  lines,
  NDJSON,
  refuses,
  Skip,
  same,
  TEXT,
} from '../expect.ts'
import { displayName, type Probe, throwaway } from '../probe.ts'
import type { Reply } from '../wire.ts'

export const store: Checks = {
  61: {
    promise: 'a blob is taken under its own digest, once, and never given out',
    async run(server) {
      // Chance, so that the first upload is one. No route deletes a blob: a real server drops it at its next start.
      const blob = randomBytes(64)
      const digest = sha256(blob)
      const [right, wrong] = [`/api/blobs/${digest}`, `/api/blobs/sha256:${'0'.repeat(64)}`]

      const bad = await server.ask({ method: 'HEAD', path: '/api/blobs/sha256:abc' })
      head('HEAD of a bad digest', bad, 400, { 'content-type': JSON_UTF8, 'content-length': '33' })
      const absent = await server.ask({ method: 'HEAD', path: right })
      head('HEAD of an absent blob', absent, 404, { 'content-type': JSON_UTF8, 'content-length': '102' })

      const mismatch = await server.ask({ method: 'POST', path: wrong, body: randomBytes(64) })
      const text =
        /^\{"error":"digest mismatch, expected \\"sha256:0{64}\\", got \\"sha256:[0-9a-f]{64}\\""\}$/
      head('POST under a wrong digest', mismatch, 400, { 'content-type': JSON_UTF8, 'content-length': '194' })
      holds('POST under a wrong digest: body', mismatch.body, text)

      // The CLI sends blobs without a length, and calls them JSON.
      const cli = {
        method: 'POST',
        path: right,
        body: blob,
        chunked: true,
        headers: { 'content-type': 'application/json' },
      }
      exactly('POST of a blob', await server.ask(cli), 201, null, '')
      exactly('POST of it again', await server.ask(cli), 200, null, '')
      head('HEAD of it', await server.ask({ method: 'HEAD', path: right }), 200)
      const get = await server.get(right)
      exactly('GET of it', get, 405, TEXT, '405 method not allowed', { allow: 'HEAD, POST' })
    },
  },

  62: {
    promise: 'a model is copied and deleted with empty replies',
    async run(server) {
      const copy = throwaway()
      try {
        const copied = await server.post('/api/copy', { source: server.model, destination: copy })
        exactly('copy', copied, 200, null, '')
        head('show of the copy', await server.post('/api/show', { model: copy }), 200)
      } finally {
        exactly('delete', await server.remove(copy), 200, null, '')
      }
      refuses('delete again', await server.remove(copy), 404, `model '${copy}' not found`)
    },
  },

  63: {
    promise: 'a push of an unknown model fails in the stream, or with a status when not streaming',
    async run(server) {
      const stream = await server.post('/api/push', { model: server.absent })
      head('push', stream, 200, { 'content-type': NDJSON })
      const [first, second, last, ...more] = lines('push', stream)
      const steps = [{ status: 'retrieving manifest' }, { status: "couldn't retrieve manifest" }]
      same('push: first lines', [first, second], steps)
      holds('push: last line', last?.['error'], /^open .+: no such file or directory$/)
      same('push: lines after the error', more, [])

      const whole = await server.post('/api/push', { model: server.absent, stream: false })
      refuses('push, not streaming', whole, 500, last!['error'], JSON_BARE)
    },
  },

  64: {
    promise: 'a pull of what the registry does not have fails in the stream, or with a status',
    async run(server) {
      registry(server)
      const text = 'pull model manifest: file does not exist'
      const stream = await server.post('/api/pull', { model: server.absent })
      head('pull', stream, 200, { 'content-type': NDJSON })
      same(
        'pull: body',
        stream.body,
        '{"status":"pulling manifest"}\n{"error":"pull model manifest: file does not exist"}\n',
      )
      const whole = await server.post('/api/pull', { model: server.absent, stream: false })
      refuses('pull, not streaming', whole, 500, text, JSON_BARE)
    },
  },

  65: {
    promise: 'a pull without streaming says success, with streaming it tells the steps',
    async run(server) {
      registry(server)
      await server.remove(server.pull)
      try {
        const whole = await server.post('/api/pull', { model: server.pull, stream: false })
        exactly('pull, not streaming', whole, 200, JSON_BARE, '{"status":"success"}')
        const names = (await server.get('/api/tags')).body
        holds(
          'tags',
          names.length,
          names.includes(goJson(displayName(server.pull))),
          `${server.pull} among them`,
        )

        head('delete', await server.remove(server.pull), 200)
        const stream = await server.post('/api/pull', { model: server.pull })
        head('pull', stream, 200, { 'content-type': NDJSON })
        steps(stream)
      } finally {
        await server.remove(server.pull)
      }
    },
  },

  66: {
    promise: 'a model cannot be made from nothing',
    async run(server) {
      const reply = await server.post('/api/create', { model: throwaway() })
      head('create', reply, 400, { 'content-type': JSON_BARE, 'content-length': null })
      same('create: body', reply.body, `{"error":"neither 'from' or 'files' was specified"}`)
      same('create: chunked', reply.chunked, true)
    },
  },
}

/** A layer that comes quickly may show no line of its own, so only the frame is certain. */
function steps(reply: Reply): void {
  const all = lines('pull', reply)
  same('pull: first line', all[0], { status: 'pulling manifest' })
  const end = all.findIndex(line => line['status'] === 'verifying sha256 digest')
  const tail = all.slice(end).filter(line => line['status'] !== 'removing unused layers')
  const ends = ['verifying sha256 digest', 'writing manifest', 'success']
  same(
    'pull: last lines',
    tail,
    ends.map(status => ({ status })),
  )
  for (const line of all.slice(1, end)) {
    holds('pull: layer', line['status'], /^pulling [0-9a-f]{12}$/)
    holds('pull: digest', line['digest'], /^sha256:[0-9a-f]{64}$/)
    holds('pull: total', line['total'], Number.isSafeInteger(line['total']), 'bytes')
  }
}

function registry(server: Probe): void {
  if (!server.registry) throw new Skip('the server can reach no registry')
}

function sha256(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
