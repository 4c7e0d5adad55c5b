// Nothing of it is reached from the Internet, nor reaches it.
using '../../../infra/main.bicep'

param environmentName = 'prod'
param location = 'westeurope'
param audience = 'api://11111111-2222-3333-4444-555555555555'
param privateNetwork = true
param outboundInternet = false
param inboundPrivateEndpoint = true
param publicNetworkAccess = 'Disabled'
