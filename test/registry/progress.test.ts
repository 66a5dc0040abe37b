import t from 'tap'
import { Gauge } from '../../src/registry/progress.ts'

const blob = (digest: string, totalBytes: number, completedBytes?: number) => ({
  status: `pulling ${digest}`,
  digest,
  totalBytes,
  ...(completedBytes !== undefined && { completedBytes }),
})

t.test(
  'bytes are added up over blobs, and those a line was too slow for are counted when they are over',
  t => {
    const gauge = new Gauge(0)
    gauge.tell({ status: 'pulling manifest' }, 0, 1)
    t.same(gauge.now(), { step: 'pulling manifest', bytes: 0, at: 1 })
    t.equal(gauge.tell(blob('a', 1_000), 100, 2), 0)
    t.equal(gauge.tell(blob('a', 1_000, 600), 160, 3), 600)
    t.equal(gauge.tell(blob('b', 50, 50), 220, 4), 400, 'the rest of the first')
    t.equal(gauge.tell({ status: 'verifying sha256 digest' }, 300, 5), 0, 'the second was there already')
    t.match(gauge.now(), { step: 'verifying sha256 digest', bytes: 1_050, totalBytes: 1_050, at: 5 })
    t.end()
  },
)

t.test('what was there when the pull went on is not what came over the wire', t => {
  const gauge = new Gauge(4_000)
  t.equal(gauge.tell(blob('a', 4_000, 3_000), 0, 0), 0)
  for (let ms = 500; ms <= 2_000; ms += 500) gauge.tell(blob('a', 4_000, 3_000 + ms / 4), ms, ms)
  t.match(gauge.now(), { bytes: 3_500, totalBytes: 4_000, bytesPerS: 250, leftMs: 2_000 })
  t.end()
})

t.test('a rate is that of the last seconds, and none where nothing can be said', t => {
  const gauge = new Gauge(0)
  gauge.tell(blob('a', 1e6, 0), 0, 0)
  t.equal(gauge.now().bytesPerS, undefined)
  for (let s = 1; s <= 60; s += 1) gauge.tell(blob('a', 1e6, s <= 40 ? s * 1_000 : 40_000), s * 1_000, 0)
  t.equal(gauge.now().bytesPerS, 0)
  t.notOk('leftMs' in gauge.now(), 'what stands still takes for ever')
  t.end()
})

t.test('how large it is elsewhere says how large it will be here', t => {
  const gauge = new Gauge(9_000)
  gauge.tell(blob('a', 100, 40), 0, 0)
  t.match(gauge.now(), { bytes: 40, totalBytes: 9_000 })
  t.end()
})
