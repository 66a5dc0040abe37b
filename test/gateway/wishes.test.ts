/** What somebody may wish of the queue. */
import t from 'tap'
import { readWishes, type Wished, wishesIn } from '../../src/gateway/wishes.ts'

const NOW = Date.UTC(2031, 0, 1)
const read = (wished: Wished) => readWishes(wished, NOW, wish => wish)

t.test('who wishes nothing gets the middle of everything', async t => {
  t.same(read({}), { priority: 5 })
})

t.test('wishes are read from headers', async t => {
  const headers = {
    'x-quipu-priority': '9',
    'x-quipu-class': 'batch',
    'x-quipu-deadline': '90s',
    'x-quipu-client': 'night-shift',
    'x-quipu-labels': 'gpu=4090, site=lab',
  }
  t.same(read(wishesIn(headers)), {
    priority: 9,
    class: 'batch',
    deadlineAt: NOW + 90_000,
    client: 'night-shift',
    labels: { gpu: '4090', site: 'lab' },
  })
})

t.test('a deadline is milliseconds, a duration, or a time', async t => {
  for (const [text, atMs] of [
    ['1500', NOW + 1_500],
    ['2h', NOW + 7_200_000],
    ['2031-01-01T00:01:00Z', NOW + 60_000],
    ['2031-01-01T02:00:00+01:00', NOW + 3_600_000],
  ] as const)
    t.equal(read({ deadline: text }).deadlineAt, atMs, text)
})

t.test('a wish that cannot be read is refused by its name, and not passed over', async t => {
  for (const [wished, message] of [
    [{ priority: '10' }, /^priority must be one digit/],
    [{ priority: '' }, /^priority/],
    [{ class: 'urgent' }, /^class must be interactive/],
    [{ deadline: 'soon' }, /^deadline must be milliseconds/],
    [{ deadline: '0' }, /^deadline/],
    [{ deadline: '2030-12-31T00:00:00Z' }, /^deadline .* a time to come/],
    [{ deadline: '2031-13-31T00:00:00Z' }, /^deadline/],
    [{ deadline: '2031-01-31T00:00:00' }, /^deadline/],
    [{ deadline: '2031-01-31' }, /^deadline/],
    [{ deadline: '9'.repeat(30) }, /^deadline/],
    [{ client: '' }, /^client must be a name of 1 to 64 letters/],
    [{ client: 'a b' }, /^client/],
    [{ client: 'a,b' }, /^client/],
    [{ client: 'é' }, /^client/],
    [{ client: 'x'.repeat(65) }, /^client/],
    [{ labels: '' }, /^labels must be labels of a node, as gpu=4090,room=attic: "" is not NAME=VALUE/],
    [{ labels: 'gpu' }, /^labels/],
    [{ labels: 'gpu=1,gpu=2' }, /^labels .*: gpu stands there twice/],
    [{ labels: Array.from({ length: 9 }, (_, i) => `l${i}=x`).join() }, /^labels .*: 9 labels are too many/],
  ] as const satisfies [Wished, RegExp][]) {
    t.throws(() => read(wished), { code: 'request.invalid', message }, JSON.stringify(wished))
  }
  for (const client of ['x'.repeat(64), 'mia@lab.example', '10.0.0.7:8080', 'night_shift-2'])
    t.equal(read({ client }).client, client)
})
