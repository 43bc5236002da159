// Node resolves imports only with the extension of the compiled file.
export default { input: process.env.OPENAPI_URL, output: { path: 'client', module: { extension: '.js' } } }
