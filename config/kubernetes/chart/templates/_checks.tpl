{{/* Combinations of values that lose jobs, or let everybody in: they are not rendered. */}}

{{- define "pillion.checks" -}}
{{- include "pillion.checkUpstream" . -}}
{{- include "pillion.checkAuthentication" . -}}
{{- include "pillion.checkJobStore" . -}}
{{- include "pillion.checkMonitoring" . -}}
{{- end -}}

{{- define "pillion.checkUpstream" -}}
{{- if not (or .Values.upstream.url (dig "upstream" "url" "" .Values.config)) -}}
{{- fail "upstream.url: where is the upstream?" -}}
{{- end -}}
{{- end -}}

{{- define "pillion.checkAuthentication" -}}
{{- $auth := default dict .Values.config.auth -}}
{{- if hasKey $auth "open" -}}
{{- fail "config.auth.open: set auth.allowOpen instead" -}}
{{- end -}}
{{- $keys := list "admin_secret" "admin_secrets" "jwt_secret" "jwt_secrets" "hook" -}}
{{- $isConfigured := false -}}
{{- range $keys -}}{{- if hasKey $auth . -}}{{- $isConfigured = true -}}{{- end -}}{{- end -}}
{{- $variable := include "pillion.variable" (dict "root" . "pattern" "_(ADMIN_SECRETS?|ACCESS_KEY|JWT_SECRETS?|AUTH_HOOK)(_FILE)?$") -}}
{{- $given := or .Values.existingSecret .Values.extraEnvFrom $variable $isConfigured -}}
{{- if not (or $given .Values.auth.allowOpen) -}}
{{- fail "without a credential every caller would be admin: set existingSecret to a Secret with HASURA_GRAPHQL_ADMIN_SECRET, or auth.allowOpen=true for a trial" -}}
{{- end -}}
{{- end -}}

{{- define "pillion.checkJobStore" -}}
{{- $store := .Values.jobs.store -}}
{{- $configured := dig "jobs" "store" "" .Values.config -}}
{{- $isScaled := or (gt (int .Values.replicas) 1) .Values.autoscaling.enabled -}}
{{- if and $configured (ne $store (ternary "postgres" "sqlite" (hasPrefix "postgres" $configured))) -}}
{{- fail (printf "jobs.store is %s, and config.jobs.store names another store: set jobs.store as well" $store) -}}
{{- end -}}
{{- if and $isScaled (eq $store "sqlite") -}}
{{- fail "jobs.store: replicas do not share sqlite, so jobs would be lost and their results not be found. Set jobs.store=postgres with a database, jobs.store=none if no action is asynchronous, or replicas=1 without autoscaling" -}}
{{- end -}}
{{- if and (eq $store "none") (regexMatch "kind: *[\"']?asynchronous" .Values.metadata.actions) -}}
{{- fail "jobs.store: metadata.actions has an asynchronous action, which needs a job store: set jobs.store=postgres, or jobs.store=sqlite for one replica" -}}
{{- end -}}
{{- $variable := include "pillion.variable" (dict "root" . "pattern" "^PILLION_JOBS_STORE(_FILE)?$") -}}
{{- $given := or .Values.jobs.postgres.secretName .Values.existingSecret .Values.extraEnvFrom $configured $variable -}}
{{- if and (eq $store "postgres") (not $given) -}}
{{- fail "jobs.store: where is the database? Set jobs.postgres.secretName, or PILLION_JOBS_STORE in existingSecret" -}}
{{- end -}}
{{- if and (ne $store "postgres") .Values.jobs.postgres.secretName -}}
{{- fail (printf "jobs.postgres.secretName is set, and jobs.store is %s: set jobs.store=postgres" $store) -}}
{{- end -}}
{{- if and .Values.persistence.enabled $isScaled -}}
{{- fail "persistence.enabled: one replica only, as a volume is not shared. Set replicas=1 without autoscaling, or persistence.enabled=false" -}}
{{- end -}}
{{- end -}}

{{- define "pillion.checkMonitoring" -}}
{{- if and .Values.monitoring.podMonitor.enabled .Values.monitoring.serviceMonitor.enabled -}}
{{- fail "monitoring: podMonitor and serviceMonitor would scrape every pod twice: enable one of them" -}}
{{- end -}}
{{- end -}}
