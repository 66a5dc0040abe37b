/** The model in a form, and forms that two parsers could read differently. */
import t from 'tap'
import { formModel } from '../../src/gateway/form.ts'
import { peek } from '../../src/gateway/peek.ts'

const TYPE = 'multipart/form-data; boundary=XX'
const part = (disposition: string, content: string, more = ''): string =>
  `--XX\r\nContent-Disposition: form-data; ${disposition}\r\n${more}\r\n${content}\r\n`
const model = (name: string): string => part('name="model"', name)
const file = (content: string): string =>
  part('name="file"; filename="a.wav"', content, 'Content-Type: audio/wav\r\n')
const read = (text: string, type = TYPE) => formModel(Buffer.from(text, 'latin1'), type)

t.test('the model is found before the file and after it', async t => {
  t.same(read(`${model('tiny')}${file('RIFF')}--XX--\r\n`), { model: 'tiny' })
  t.same(read(`${file('RIFF')}${part('name="language"', 'en')}${model('tiny')}--XX--`), { model: 'tiny' })
  t.same(read(`${file('RIFF')}--XX--\r\n`), {})
  t.same(read(`${model('a')}${model('b')}--XX--`), { model: 'a' }, 'the first counts')
})

t.test('what real clients write is read', async t => {
  const form = new FormData()
  form.set('file', new Blob([Buffer.from('RIFF\r\n--')]), 'é "x".wav')
  form.set('model', 'tiny')
  const request = new Response(form)
  const type = request.headers.get('content-type')!
  t.same(formModel(Buffer.from(await request.arrayBuffer()), type), { model: 'tiny' })
  const curl = type.replace(/boundary=.*/, 'boundary=------------------------d74496d66958873e')
  const text = `${model('tiny')}--XX--`.replaceAll('XX', '------------------------d74496d66958873e')
  t.same(read(text, curl), { model: 'tiny' })
  t.same(read(`${model('tiny')}--XX--`, 'multipart/form-data; boundary="XX"'), { model: 'tiny' })
  const python = part(`name="file"; filename*=utf-8''%C3%A9.wav`, 'RIFF')
  t.same(read(`${python}${model('tiny')}--XX--`), { model: 'tiny' })
})

t.test('a model inside a file is not the model', async t => {
  const trap = 'x\r\nContent-Disposition: form-data; name="model"\r\n\r\nfake\r\n--XY\r\n--XXX\r\n'
  t.same(read(`${file(trap)}${model('tiny')}--XX--`), { model: 'tiny' })
})

t.test('what could be read in two ways is refused', async t => {
  const good = `${model('tiny')}--XX--`
  for (const [what, text, type = TYPE] of [
    ['no boundary', good, 'multipart/form-data'],
    ['two boundaries', good, `${TYPE}; boundary=YY`],
    ['an encoded boundary', good, "multipart/form-data; boundary*=utf-8''XX"],
    ['another type', good, 'application/json'],
    ['a preamble', `preamble\r\n${good}`],
    ['bare line feeds', good.replaceAll('\r\n', '\n')],
    ['no end', model('tiny')],
    ['a blank after a boundary', good.replace('--XX\r\n', '--XX \r\n')],
    ['a line feed after a boundary', `${file('x\r\n--XX\nContent')}${good}`],
    ['two dispositions', `--XX\r\nContent-Disposition: form-data; name="a"\r\n${good.slice(6)}`],
    ['a folded header', part('name="file";\r\n name="model"', 'x') + good],
    ['an unquoted name', part('name=model', 'x') + good],
    ['two names', part('name="file"; name="model"', 'x') + good],
    ['an encoded name', part(`name="file"; name*=utf-8''model`, 'x') + good],
    ['an escaped name', part('name="mod\\el"', 'x') + good],
    ['a model with a file name', part('name="model"; filename=""', 'x') + good],
    [
      'an encoded part',
      part('name="model"', 'x=3Acloud', 'Content-Transfer-Encoding: quoted-printable\r\n') + good,
    ],
    [
      'a bare line feed in a header',
      part('name="a"', 'x', 'A: b\nContent-Disposition: form-data; name="model"\r\n') + good,
    ],
    [
      'a blank before a colon',
      part('name="a"', 'x', 'Content-Disposition : form-data; name="model"\r\n') + good,
    ],
    ['no headers', `--XX\r\n\r\nx\r\n${good}`],
    ['a name without end', model('x'.repeat(2_000)) + good],
  ] as const) {
    t.type(read(text, type).unreadable, 'string', what)
  }
})

t.test('the path says that a body is a form, not its type', async t => {
  const body = Buffer.from(`${model('x:cloud')}--XX--`)
  const headers = { 'content-type': TYPE }
  t.match(await peek('/v1/audio/transcriptions', body, headers), { model: 'x:cloud', cloud: true })
  t.match(await peek('/api/chat', Buffer.from('{"model":"x:cloud"}'), headers), {
    model: 'x:cloud',
    cloud: true,
  })
  t.match(await peek('/v1/audio/transcriptions', Buffer.from('{"model":"a"}'), {}), {
    unreadable: /^failed to parse multipart form: /,
  })
})
