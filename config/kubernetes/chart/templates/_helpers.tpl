{{- define "pillion.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 50 characters, so that suffixes fit into the 63 of a label. */}}
{{- define "pillion.fullname" -}}
{{- $name := include "pillion.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "pillion.labels" -}}
{{ include "pillion.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "pillion.selector" -}}
app.kubernetes.io/name: {{ include "pillion.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "pillion.metadata" -}}
{{- .Values.metadata.existingConfigMap | default (printf "%s-metadata" (include "pillion.fullname" .)) -}}
{{- end -}}

{{- define "pillion.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "pillion.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "pillion.image" -}}
{{- $repository := required "image.repository: which image? Build it with the Dockerfile and push it to your registry" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Not empty if `extraEnv` sets a variable whose name matches `pattern`. */}}
{{- define "pillion.variable" -}}
{{- $pattern := .pattern -}}
{{- range .root.Values.extraEnv -}}
{{- if regexMatch $pattern .name -}}{{ .name }}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "pillion.container" -}}
- name: pillion
  image: {{ include "pillion.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  {{- if .Values.upstream.containers }}
  restartPolicy: Always
  {{- end }}
  args: [serve]
  workingDir: /var/lib/pillion
  env:
    {{- /* As variables, so that `kubectl exec … pillion jobs list` and `health` read the same configuration. */}}
    - { name: PILLION_CONFIG, value: /etc/pillion/config/pillion.yaml }
    - { name: PILLION_METADATA, value: /etc/pillion/metadata }
    {{- /* What changes things stays inside of the pod; the kubelet and Prometheus reach what only shows. */}}
    - { name: PILLION_ADMIN_LISTEN, value: "127.0.0.1:8001" }
    - { name: PILLION_ADMIN_METRICS_LISTEN, value: "0.0.0.0:8002" }
    {{- with .Values.upstream.url }}
    - { name: PILLION_UPSTREAM, value: {{ . | quote }} }
    {{- end }}
    - { name: PILLION_AUTH_OPEN, value: {{ .Values.auth.allowOpen | quote }} }
    {{- with .Values.jobs.postgres.secretName }}
    - name: PILLION_JOBS_STORE
      valueFrom:
        secretKeyRef: { name: {{ . }}, key: {{ $.Values.jobs.postgres.secretKey }} }
    {{- end }}
    {{- with .Values.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- if or .Values.existingSecret .Values.extraEnvFrom }}
  envFrom:
    {{- with .Values.existingSecret }}
    - secretRef: { name: {{ . }} }
    {{- end }}
    {{- with .Values.extraEnvFrom }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
  ports:
    - { name: graphql, containerPort: 8000 }
    - { name: pillion-metrics, containerPort: 8002 }
  {{- /* Not /readyz: as a sidecar it starts before the upstream. */}}
  startupProbe:
    httpGet: { path: /healthz, port: pillion-metrics }
    {{- toYaml .Values.startupProbe | nindent 4 }}
  livenessProbe:
    httpGet: { path: /healthz, port: pillion-metrics }
    {{- toYaml .Values.livenessProbe | nindent 4 }}
  readinessProbe:
    httpGet: { path: /readyz, port: pillion-metrics }
    {{- toYaml .Values.readinessProbe | nindent 4 }}
  resources:
    {{- toYaml .Values.resources | nindent 4 }}
  securityContext:
    {{- toYaml .Values.securityContext | nindent 4 }}
  volumeMounts:
    {{- /* Folders, not files: only a folder is swapped when its ConfigMap changes, and then Pillion reloads it. */}}
    - { name: pillion-config, mountPath: /etc/pillion/config, readOnly: true }
    - { name: pillion-metadata, mountPath: /etc/pillion/metadata, readOnly: true }
    - { name: pillion-data, mountPath: /var/lib/pillion }
    {{- with .Values.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
