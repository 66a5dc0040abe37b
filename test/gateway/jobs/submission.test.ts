/** A job as it is submitted. */
import t from 'tap'
import { readErase, readJob } from '../../../src/gateway/jobs/submission.ts'

const read = (text: string, headers = {}) => readJob(Buffer.from(text), headers)
const ASK = '"path":"/api/generate","body":{"model":"m"}'

t.test('the question inside is the text it was; the rest is read', async t => {
  const job = await read(
    ' {"priority" : 9, "body" :{ "model":"m" , "x":[1.0, "}\\""] } ,\n"path":"/api/chat","class":"interactive",' +
      '"deadline":1500,"client":"c","labels":{"gpu":"4090","site":"lab"},"idempotencyKey":"k",' +
      '"callback":{"url":"http://a"}} \n',
    { 'idempotency-key': 'not this' },
  )
  t.same(
    { ...job, body: job.body.toString() },
    {
      path: '/api/chat',
      body: '{ "model":"m" , "x":[1.0, "}\\""] }',
      wished: {
        class: 'interactive',
        client: 'c',
        priority: '9',
        deadline: '1500',
        labels: 'gpu=4090,site=lab',
      },
      key: 'k',
      callback: { url: 'http://a' },
    },
  )
  t.equal((await read(`{${ASK}}`, { 'idempotency-key': 'k' })).key, 'k')
  t.equal((await read(`{"body":1,${ASK}}`)).body.toString(), '{"model":"m"}', 'of several the last')
})

t.test('what is no job is refused, and says what is wrong', async t => {
  for (const [text, message] of [
    ['', /must be a JSON object/],
    ['[]', /must be a JSON object/],
    [`{${ASK}`, /must be a JSON object/],
    [`{${ASK}}{}`, /must be a JSON object/],
    [`{${ASK},"${'x'.repeat(65)}":1}`, /must be a JSON object/],
    ['{}', /path, body is missing/],
    [`{${ASK},"priority":1 2}`, /priority is not JSON/],
    [`{${ASK},"client":"${'x'.repeat(70_000)}"}`, /client is too long/],
    [`{${ASK},"priority":"9"}`, /priority/],
    [`{${ASK},"deadline":0}`, /deadline/],
    [`{${ASK},"callback":{}}`, /url/],
    [`{${ASK},"callback":{"url":"u","x":1}}`, /may not have "x"/],
    [`{${ASK},"Priority":1}`, /unknown property "Priority"/],
    ['{"path":"/v1/models","body":{}}', /path must be one of \/api\/generate/],
    ['{"path":"/api/chat","body":"{}"}', /body/],
  ] as const) {
    await t.rejects(read(text), { code: 'request.invalid', message }, text.slice(0, 99))
  }
})

t.test('what is to be erased is of one client, or one job', async t => {
  const erase = (text: string) => readErase(Buffer.from(text))
  t.same(erase('{"client":"c"}'), { client: 'c' })
  t.same(erase('{"request":"r"}'), { request: 'r' })
  for (const text of ['', '{}', '[]', '{"client":"c","request":"r"}', '{"client":""}', '{"Client":"c"}'])
    t.throws(() => erase(text), { code: 'request.invalid' }, text)
})
