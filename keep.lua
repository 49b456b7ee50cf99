wrk.method='POST'
wrk.headers['Content-Type']='application/json'
wrk.body=io.open('/tmp/perf/pass.json'):read('*a')
