/** One pull told out of several. */
import t from 'tap'
import { Progress } from '../../src/gateway/progress.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`

const status = (text: string): string => JSON.stringify({ status: text })
const blob = (total: number, completed?: number): string =>
  JSON.stringify({ status: 'pulling abc', digest: DIGEST, total, completed })

t.test('a step is told when the slowest node has reached it', async t => {
  const both = new Progress(['a', 'b'])
  t.same(both.line('a', status('pulling manifest')), [])
  t.same(both.line('a', status('verifying')), [])
  t.same(both.line('b', status('pulling manifest')), [{ status: 'pulling manifest' }])
  t.same(both.line('b', status('verifying')), [{ status: 'verifying' }])
  t.same(both.line('a', status('success')), [])
  t.same(both.line('b', status('success')), [])
  t.same(both.last(), { status: 'success' })
})

t.test('bytes are those of all nodes together', async t => {
  const both = new Progress(['a', 'b'])
  t.same(both.line('a', blob(100)), [{ status: 'pulling abc', digest: DIGEST, total: 100 }])
  t.match(both.line('b', blob(100, 30)), [{ total: 200, completed: 30 }])
  t.match(both.line('a', blob(100, 50)), [{ total: 200, completed: 80 }])
})

t.test('who is done or has failed is not waited for', async t => {
  const three = new Progress(['a', 'b', 'c'])
  for (const step of ['one', 'two']) three.line('a', status(step))
  three.line('b', status('one'))
  t.same(three.fail('c', 'it broke'), [{ status: 'one' }])
  t.same(three.line('b', status('success')), [{ status: 'two' }])
  t.same(three.line('a', '{"error":"no room"}'), [])
  t.same(three.failed, ['c', 'a'])
  t.same(three.last(), { error: 'c: it broke; a: no room' })
})

t.test('one error of all is told as it is', async t => {
  const both = new Progress(['a', 'b'])
  both.line('a', '{"error":"file does not exist"}')
  both.line('b', '{"error":"file does not exist"}')
  t.same(both.last(), { error: 'file does not exist' })
})

t.test('a stream that ends without success has failed', async t => {
  const one = new Progress(['a'])
  one.line('a', status('pulling manifest'))
  one.end('a')
  t.same(one.last(), { error: 'the node ended its answer early' })
  one.end('a')
  t.same(one.failed, ['a'])
})

t.test('a node that goes on after its success is not listened to', async t => {
  const both = new Progress(['a', 'b'])
  both.line('a', status('success'))
  t.same(both.line('a', status('again')), [])
  t.same(both.line('a', '{"error":"too late"}'), [])
  both.line('b', status('success'))
  t.same(both.line('b', status('again')), [])
  t.same(both.last(), { status: 'success' })
})

t.test('nodes are not believed', async t => {
  const one = new Progress(['a'])
  t.same(one.line('a', '{"status":5,"digest":["x"],"total":-1}'), [])
  t.same(one.line('a', '{"digest":"d","total":9}'), [], 'that is no digest')
  t.same(one.line('a', `{"digest":"${DIGEST}","total":"9","completed":-3}`), [{ digest: DIGEST, total: 0 }])
  for (let i = 0; i < 1_000; i += 1) one.line('a', status(`step ${i}`))
  t.same(one.line('a', status('one more')), [], 'no pull has a hundred steps')
  one.line('a', 'no JSON')
  t.match(one.last(), { error: /not JSON/ })
  const [, told] = [new Progress(['a']), new Progress(['a']).line('a', status('x'.repeat(5_000)))]
  t.equal(told[0]!.status!.length, 1_024)
})
